"""Compact filters: k×k convolutions as depthwise and 1×1 ones, 5×5 as two 3×3, from the SVD of the trained filters."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from hmr_light.checkpoints.transforms import Transform, apply_transforms
from hmr_light.compression.options import fits
from hmr_light.compression.steps import Change, Phase, StepContext, steps
from hmr_light.errors import UserError
from hmr_light.model.compact import is_separable, is_splittable
from hmr_light.model.hmr import HMR

ROUNDS = 50
"""Of the least squares that follow the first factors of a 5×5 filter."""


@steps.register("compact")
def compact(
    *,
    multiplier: int = 1,
    energy: float | None = None,
    separate: bool = True,
    split: bool = True,
    layers: Sequence[Any] = ("*",),
) -> Sequence[Phase]:
    """Convolutions in `layers` (patterns of names) become two cheaper ones, as near to them as two such can be.

    With `energy`, each layer has the fewest filters an input that keep this share of its squared weights.
    """
    if not 1 <= multiplier <= 64:
        raise UserError(f"compression.multiplier={multiplier} is out of range", "Give from 1 to 64.")
    if energy is not None and not 0 < energy <= 1:
        raise UserError(f"compression.energy={energy} is no share", "Give more than 0 and at most 1.")
    if not (separate or split):
        raise UserError("compression.separate and compression.split are both false", "Leave one of them true.")

    def phase(model: HMR, context: StepContext) -> Change:
        named = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)}
        chosen = {name: layer for name, layer in named.items() if any(fits(name, one) for one in layers)}
        if not chosen:
            raise UserError(
                f"compression.layers={[*layers]} names no convolution of the model",
                f"They are called such as {', '.join(list(named)[:3])}.",
            )
        multipliers, factors = {}, {}
        for name, layer in chosen.items():
            if separate and is_separable(layer) and layer.in_channels > 3:  # the image's three channels are too few
                number, pair = separable_factors(layer.weight.detach(), multiplier, energy)
                if sum(one.numel() for one in pair) < layer.weight.numel():
                    multipliers[name], factors[name] = number, pair
        splits = [name for name, layer in chosen.items() if split and is_splittable(layer)]
        factors |= {name: split_factors(chosen[name].weight.detach()) for name in splits}
        if not factors:
            raise UserError(
                "the model has no convolutions that two others would be cheaper than", "Choose another step."
            )
        transform = Transform(name="compact", options={"multipliers": multipliers, "splits": splits})
        small = apply_transforms(copy.deepcopy(model), [transform])
        modules = dict(small.named_modules())
        with torch.no_grad():
            for name, pair in factors.items():
                for new, values in zip(modules[name].children(), pair, strict=True):
                    cast(nn.Conv2d, new).weight.copy_(values)
                if (bias := named[name].bias) is not None:
                    cast(torch.Tensor, new.bias).copy_(bias)
        return Change([transform], dict(small.state_dict()))

    return [phase]


def separable_factors(
    weight: torch.Tensor, multiplier: int, energy: float | None
) -> tuple[int, tuple[torch.Tensor, torch.Tensor]]:
    """How many filters m an input, and the filters (m·I, 1, h, w) and mixtures (O, m·I, 1, 1), nearest to `weight`.

    `weight` (O, I, h, w) is, for each input, a matrix (O, h·w), whose best approximation of rank m they are.
    """
    outputs, inputs, height, width = weight.shape
    matrices = weight.double().permute(1, 0, 2, 3).flatten(2)  # I, O, h·w
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    number = min(multiplier, values.shape[1])
    if energy is not None:
        kept = values.square().sum(0).cumsum(0)
        number = min(values.shape[1], int((kept < energy * kept[-1] * (1 - 1e-12)).sum()) + 1)
    root = values[:, :number].sqrt()
    filters = (root[..., None] * right[:, :number]).reshape(inputs * number, 1, height, width)
    mixtures = (left[..., :number] * root[:, None]).permute(1, 0, 2).reshape(outputs, inputs * number, 1, 1)
    return number, (filters, mixtures)


def split_factors(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Two 3×3 filters (C, 1, 3, 3) for each 5×5 one in `weight` (C, 1, 5, 5), whose convolution is near to it.

    They begin with the factors of its best separable approximation, by SVD: a filter of five numbers is a polynomial of
    degree four, which is a product of two of degree two. Then least squares moves one and the other in turn.
    """
    kernels = weight[:, 0].double().cpu()
    first, second = map(torch.from_numpy, _separable_halves(kernels.numpy()))
    for _ in range(ROUNDS):
        second = _nearest(first, kernels)
        first = _nearest(second, kernels)
    norms = [one.flatten(1).norm(dim=1).clamp(min=1e-30)[:, None, None] for one in (first, second)]
    scale = (norms[0] * norms[1]).sqrt()  # both are as large
    return (first / norms[0] * scale)[:, None].to(weight), (second / norms[1] * scale)[:, None].to(weight)


def _separable_halves(kernels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two halves (C, 3, 3) of the best separable approximation of each of `kernels` (C, 5, 5)."""
    left, values, right = np.linalg.svd(kernels)
    root = np.sqrt(values[:, 0])[:, None]
    halves = []
    for column, row in zip(left[:, :, 0] * root, right[:, 0] * root, strict=True):
        (a, b), (c, d) = _quadratics(column), _quadratics(row)
        halves.append((np.outer(a, c), np.outer(b, d)))
    first, second = zip(*halves, strict=True)
    return np.stack(first), np.stack(second)


def _quadratics(filter_: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two filters of three real numbers whose convolution is the filter of five: pairs of roots, or of conjugates."""
    coefficients = filter_ + (np.abs(filter_).max() * 1e-9 + 1e-30) * (np.arange(5) == 0)
    if abs(coefficients[0]) < 1e-6 * np.abs(coefficients).max():
        coefficients = coefficients.copy()
        coefficients[0] = 1e-6 * np.abs(coefficients).max()  # a polynomial of degree four has four roots
    roots = sorted(np.roots(coefficients), key=lambda root: (abs(root.imag) < 1e-9, root.real, abs(root.imag)))
    first = np.real(np.poly(roots[:2]))
    second = np.real(np.poly(roots[2:])) * coefficients[0]
    return first, second


def _nearest(other: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """The filters (C, 3, 3) whose convolution with `other` (C, 3, 3) is nearest to `kernels` (C, 5, 5)."""
    columns = torch.zeros(len(kernels), 9, 5, 5, dtype=kernels.dtype)
    for index in range(9):
        row, column = divmod(index, 3)
        columns[:, index, row : row + 3, column : column + 3] = other
    columns = columns.flatten(2)
    squares = columns @ columns.transpose(1, 2)
    # A little is added, for filters of zeros.
    little = squares.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * 1e-12 + 1e-30
    solved = torch.linalg.solve(
        squares + little * torch.eye(9, dtype=kernels.dtype), columns @ kernels.flatten(1)[..., None]
    )
    return solved.view(-1, 3, 3)
