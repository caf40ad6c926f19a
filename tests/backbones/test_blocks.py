"""Blocks that families share, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hmr_light.backbones.blocks import (
    Fire,
    GlobalPool,
    InvertedResidual,
    Residual,
    SqueezeExcitation,
    channel_shuffle,
    multiple_of,
    nearest_multiple,
    plain_conv,
)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("channels", "groups"), [(12, 1), (12, 2), (12, 3), (24, 8), (6, 6)])
def test_channels_are_dealt_out_as_in_the_paper(channels: int, groups: int, layout: torch.memory_format) -> None:
    maps = torch.rand(2, channels, 5, 7).contiguous(memory_format=layout)
    # Reshape the channels to (groups, n), transpose, flatten.
    order = np.arange(channels).reshape(groups, channels // groups).T.ravel()
    shuffled = channel_shuffle(maps, groups)
    assert torch.equal(shuffled, maps[:, order])
    assert shuffled.is_contiguous(memory_format=layout)


def test_the_shuffle_is_torchs() -> None:
    maps = torch.rand(2, 30, 4, 4)
    assert torch.equal(channel_shuffle(maps, 3), nn.ChannelShuffle(3)(maps))


def test_fire_is_torchvisions() -> None:
    from torchvision.models.squeezenet import Fire as Reference

    torch.manual_seed(0)
    reference, own = Reference(96, 16, 64, 48), Fire(96, 16, 64, 48, plain_conv)
    own.load_state_dict(reference.state_dict())
    maps = torch.randn(2, 96, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(own(maps), reference(maps), rtol=0, atol=0)


@pytest.mark.parametrize(("bias", "gate"), [(True, nn.Sigmoid), (False, nn.Hardsigmoid)])
def test_squeeze_and_excitation_follows_its_equation(bias: bool, gate: type[nn.Module]) -> None:
    torch.manual_seed(1)
    block = SqueezeExcitation(8, 3, bias=bias, gate=gate).double()
    maps = torch.randn(4, 8, 5, 6, dtype=torch.float64)
    first, second = block.fc[0], block.fc[2]
    for sample, weighed in zip(maps, block(maps), strict=True):
        hidden = first.weight @ sample.mean((1, 2)) + (first.bias if bias else 0)
        logits = second.weight @ hidden.clamp(min=0) + (second.bias if bias else 0)
        scale = 1 / (1 + torch.exp(-logits)) if gate is nn.Sigmoid else ((logits + 3) / 6).clamp(0, 1)
        torch.testing.assert_close(weighed, sample * scale[:, None, None])


def test_global_pool_is_the_mean() -> None:
    maps = torch.rand(2, 5, 3, 4, dtype=torch.float64)
    np.testing.assert_allclose(GlobalPool()(maps).numpy(), maps.numpy().reshape(2, 5, 12).mean(2), atol=1e-15)


@pytest.mark.parametrize(("divisor", "number", "expected"), [(3, 60, 60), (4, 34, 36), (8, 12.9, 16), (1, 6.9, 6)])
def test_multiples_are_rounded_up(divisor: int, number: float, expected: int) -> None:
    assert multiple_of(divisor, number) == expected


def test_a_residual_block_adds() -> None:
    block, shortcut = nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 1)
    maps = torch.rand(1, 4, 3, 3)
    torch.testing.assert_close(Residual(block, shortcut)(maps), block(maps) + shortcut(maps))
    double = nn.Conv2d(4, 4, 1)
    torch.testing.assert_close(Residual(double)(maps), double(maps) + maps)


def test_numbers_of_maps_are_rounded_as_torchvision_rounds_them() -> None:
    from torchvision.models._utils import _make_divisible

    for number in (0.5, *torch.rand(200).mul(600).tolist()):
        assert nearest_multiple(8, number) == _make_divisible(number, 8), number


@pytest.mark.parametrize(("outputs", "stride", "expand"), [(12, 1, 6), (12, 2, 6), (24, 1, 1), (12, 1, 1)])
def test_an_inverted_residual_is_torchvisions(outputs: int, stride: int, expand: int) -> None:
    from torchvision.models.mobilenetv2 import InvertedResidual as Reference

    torch.manual_seed(0)
    reference, own = Reference(12, outputs, stride, expand), InvertedResidual(12, outputs, stride, 12 * expand)
    own.load_state_dict(dict(zip(own.state_dict(), reference.state_dict().values(), strict=True)))
    maps = torch.randn(2, 12, 9, 8)
    with torch.no_grad():
        assert torch.equal(own.eval()(maps), reference.eval()(maps))
