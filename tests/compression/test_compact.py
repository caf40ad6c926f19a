"""Compact filters: two convolutions as near to the trained one as two such can be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d
from support.compression import change, rebuilt
from support.models import model_of
from torch import nn
from torch.nn.functional import conv2d

from hmr_light.compression.compact import separable_factors, split_factors
from hmr_light.compression.steps import read_steps
from hmr_light.cost.macs import count_macs
from hmr_light.errors import UserError


def test_as_many_filters_as_pixels_are_exact_and_fewer_are_the_nearest() -> None:
    weight = torch.randn(7, 5, 3, 3).double()
    number, (filters, mixtures) = separable_factors(weight, 9, None)
    assert number == 7  # a matrix of 7 rows has no more
    images = torch.randn(2, 5, 11, 8).double()
    ours = conv2d(conv2d(images, filters, stride=2, padding=1, groups=5), mixtures)
    torch.testing.assert_close(ours, conv2d(images, weight, stride=2, padding=1))
    number, (filters, mixtures) = separable_factors(weight, 2, None)
    product = (mixtures.view(7, 5, 2, 1) * filters.view(1, 5, 2, 9)).sum(2)
    for index in range(5):
        matrix = weight[:, index].flatten(1).numpy()
        left = np.square(np.linalg.svd(matrix, compute_uv=False)[2:]).sum()
        np.testing.assert_allclose(np.square(matrix - product[:, index].numpy()).sum(), left, rtol=1e-8)


def test_the_share_of_squared_weights_sets_the_filters() -> None:
    weight = torch.randn(40, 6, 3, 3).double()
    for energy in (0.3, 0.6, 0.95):
        number, (filters, mixtures) = separable_factors(weight, 1, energy)
        product = (mixtures.view(40, 6, number, 1) * filters.view(1, 6, number, 9)).sum(2).view_as(weight)
        kept = 1 - float((weight - product).square().sum() / weight.square().sum())
        assert kept >= energy
        _, (fewer, mixed) = separable_factors(weight, number - 1, None) if number > 1 else (0, (filters, mixtures))
        if number > 1:
            less = (mixed.view(40, 6, number - 1, 1) * fewer.view(1, 6, number - 1, 9)).sum(2).view_as(weight)
            assert 1 - float((weight - less).square().sum() / weight.square().sum()) < energy


def test_a_product_of_two_filters_is_found_again() -> None:
    rng = np.random.default_rng()
    a, b = rng.normal(size=(2, 6, 3, 3))
    separable = [np.outer(*rng.normal(size=(2, 5))) for _ in range(4)]
    # What is a product of separable filters is found by the SVD alone.
    whole = np.stack([*separable, np.zeros((5, 5)), np.outer([0, 1, 2, 1, 0], [1, 0, 0, 0, 1])])
    first, second = split_factors(torch.from_numpy(whole)[:, None])
    for one, other, kernel in zip(first[:, 0].numpy(), second[:, 0].numpy(), whole, strict=True):
        np.testing.assert_allclose(convolve2d(one, other), kernel, atol=1e-4 * max(1, np.abs(kernel).max()))
    # Of others the result is never worse than the best separable filter, where it begins.
    kernels = np.stack([convolve2d(one, other) for one, other in zip(a, b, strict=True)])
    first, second = split_factors(torch.from_numpy(kernels)[:, None])
    for one, other, kernel in zip(first[:, 0].numpy(), second[:, 0].numpy(), kernels, strict=True):
        values = np.linalg.svd(kernel, compute_uv=False)
        assert np.square(convolve2d(one, other) - kernel).sum() <= np.square(values[1:]).sum() * (1 + 1e-6)


def test_two_small_filters_see_as_far_as_the_large_one_at_the_edges_too() -> None:
    model = model_of("snet49", "linear").double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (5, 5):
            layer.weight.data = torch.stack([torch.outer(*torch.randn(2, 5)) for _ in layer.weight])[:, None].double()
    small = rebuilt(model, change(model, "compact", separate=False))
    assert not any(isinstance(one, nn.Conv2d) and one.kernel_size == (5, 5) for one in small.modules())
    for size in (64, 75):
        images = torch.randn(2, 3, size, size).double()
        with torch.no_grad():
            ours, theirs = small.backbone(images), model.backbone(images)
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))


@pytest.mark.parametrize(
    "backbone",
    [
        "squeezenet1_1",
        pytest.param("resnet18", marks=pytest.mark.slow),
        pytest.param("densenet121", marks=pytest.mark.slow),
    ],
)
def test_networks_of_3x3_convolutions_become_smaller(backbone: str) -> None:
    model = model_of(backbone, "light").eval()
    small = rebuilt(model, change(model, "compact"))
    assert count_macs(small, 64).backbone < 0.75 * count_macs(model, 64).backbone
    with torch.no_grad():
        assert small(torch.randn(2, 3, 64, 64)).betas.shape == (2, 10)


def test_what_cannot_be_is_told() -> None:
    for options, says in (
        ({"multiplier": 0}, "compression.multiplier=0 is out of range"),
        ({"energy": 2.0}, "compression.energy=2.0 is no share"),
        ({"separate": False, "split": False}, "are both false"),
    ):
        with pytest.raises(UserError) as refused:
            read_steps({"name": "compact", **options})
        assert says in str(refused.value)
    model = model_of("mobilenet_v1", "light", "backbone.width=0.25", "backbone.form=shallow")
    with pytest.raises(UserError, match="no convolutions that two others would be cheaper than"):
        change(model, "compact")
    with pytest.raises(UserError, match="names no convolution of the model"):
        change(model, "compact", layers=["nothing*"])
