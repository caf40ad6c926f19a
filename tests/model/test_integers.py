"""Layers in integers: equal to integer arithmetic that numpy does, to the last bit; gradients pass the rounding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hmr_light.errors import UserError
from hmr_light.model.integers import Int8Weights, check_scales, freeze, to_int8, with_float_weights

LAYERS = {
    "1x1, wide": (lambda: nn.Conv2d(700, 9, 1, bias=False), (2, 700, 3, 3)),
    "depthwise": (lambda: nn.Conv2d(8, 8, 3, 2, padding=1, groups=8), (2, 8, 9, 9)),
    "grouped, dilated": (lambda: nn.Conv2d(6, 8, 3, padding=2, dilation=2, groups=2), (2, 6, 7, 7)),
    "linear": (lambda: nn.Linear(600, 5), (3, 600)),
}


def made(kind: str, frozen: bool) -> tuple[nn.Sequential, torch.Tensor]:
    """The layer with random scales, and inputs of which some are out of range."""
    make, shape = LAYERS[kind]
    torch.manual_seed(int(np.random.default_rng().integers(2**31)))
    model = nn.Sequential(make())
    weight = model[0].weight.detach()
    to_int8(model, ["0"], frozen=False)
    layer = model[0]
    layer.weight_scale.copy_(weight.abs().flatten(1).amax(1) / torch.empty(len(weight)).uniform_(100, 140))
    layer.input_scale.fill_(float(np.random.default_rng().uniform(0.005, 0.015)))
    layer.input_zero_point.fill_(int(np.random.default_rng().integers(0, 256)))
    if frozen:
        freeze(model)
    x, zero, scale = torch.randn(shape), int(layer.input_zero_point), float(layer.input_scale)
    for edge in (-zero * scale, (255 - zero) * scale):  # there a gradient is neither one nor zero
        x[(x - edge).abs() < 1e-4] += 1e-3
    return model.eval(), x


def by_numpy(layer: Int8Weights, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The layer in whole numbers, one output at a time, from the published formulas."""
    scale, zero = layer.input_scale.numpy(), int(layer.input_zero_point)
    quantised = np.clip(np.rint(x / scale).astype(np.int64) + zero, 0, 255)
    assert quantised.max() == 255 or quantised.min() == 0, "some inputs are out of range"
    channels = layer.weight_scale.numpy()
    whole = np.clip(np.rint(weight / channels.reshape(-1, *[1] * (weight.ndim - 1))), -127, 127).astype(np.int64)
    product = np.float64(scale) * channels.astype(np.float64)
    bias = np.zeros(len(whole), np.int64)
    if layer.bias is not None:
        bias = np.rint(layer.bias.detach().numpy().astype(np.float64) / product).astype(np.int64)
    centred = quantised - zero
    if isinstance(layer, nn.Linear):
        sums = centred @ whole.T + bias
        return (sums * product).astype(np.float32)
    assert isinstance(layer, nn.Conv2d)
    (stride, _), (pad, _), (dilation, _) = layer.stride, layer.padding, layer.dilation  # type: ignore[misc]
    centred = np.pad(centred, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    size = (layer.kernel_size[0] - 1) * dilation + 1
    sides = [(side - size) // stride + 1 for side in centred.shape[2:]]
    sums = np.zeros((len(x), len(whole), *sides), np.int64)
    per_group = len(whole) // layer.groups
    for out in range(len(whole)):
        first = out // per_group * whole.shape[1]
        maps = centred[:, first : first + whole.shape[1]]
        for row in range(sides[0]):
            for column in range(sides[1]):
                top, left = row * stride, column * stride
                seen = maps[:, :, top : top + size : dilation, left : left + size : dilation]
                sums[:, out, row, column] = (seen * whole[out]).sum((1, 2, 3)) + bias[out]
    return (sums * product[:, None, None]).astype(np.float32)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("kind", LAYERS)
@torch.no_grad()
def test_a_layer_gives_what_integer_arithmetic_gives(kind: str, frozen: bool) -> None:
    model, x = made(kind, False)
    weight = model[0].weight.detach().numpy().copy()
    if frozen:
        freeze(model)
        assert model[0].integers.dtype == torch.int8
        assert not any(parameter.requires_grad for parameter in model.parameters())
    found = model(x).numpy()
    assert np.array_equal(found, by_numpy(model[0], weight, x.numpy()))
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(model(x).numpy(), found), "half precision changes nothing"


@pytest.mark.parametrize("kind", LAYERS)
def test_in_training_values_are_rounded_and_gradients_pass_within_the_range(kind: str) -> None:
    model, x = made(kind, False)
    layer = model[0]
    x.requires_grad_(True)
    y = model.train()(x)
    torch.testing.assert_close(y, model.eval()(x), rtol=1e-4, atol=float(layer.input_scale) * 1e-2)
    model.train()(x).sum().backward()
    zero, scale = int(layer.input_zero_point), float(layer.input_scale)
    inside = (x > -zero * scale) & (x < (255 - zero) * scale)
    assert inside.any()
    assert not inside.all()
    assert x.grad is not None
    assert not x.grad[~inside].any()
    assert x.grad[inside].any()
    plain = with_float_weights(model).train()
    other = x.detach().clone().requires_grad_(True)
    plain(other).sum().backward()
    torch.testing.assert_close(x.grad, other.grad * inside, rtol=1e-3, atol=1e-5)
    assert layer.weight.grad.any()


def test_scales_that_cannot_be_are_refused() -> None:
    for name, value in (
        ("input_scale", 0.0),
        ("weight_scale", torch.inf),
        ("input_scale", -1.0),
        ("input_zero_point", 256),
    ):
        model, _ = made("linear", True)
        getattr(model[0], name).fill_(value)
        with pytest.raises(UserError, match="the layer 0 has a scale or a zero point that cannot be"):
            check_scales(model)


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(UserError, match="names 7, which is no convolution"):
        to_int8(nn.Sequential(nn.ReLU()), [7], True)
    with pytest.raises(UserError, match="names 0, which is no convolution"):
        to_int8(nn.Sequential(nn.ReLU()), ["0"], True)
