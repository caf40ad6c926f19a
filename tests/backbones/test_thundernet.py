"""ThunderNet's neck, and how its attention learns where the person is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.backbones import macs, parameters
from torch.nn.functional import conv2d

from hmr_light.backbones import build_backbone
from hmr_light.backbones.thundernet import ContextEnhancement, SpatialAttention, heatmap_loss


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_the_neck_adds_three_scales(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    neck = ContextEnhancement(12, 20).double()
    height, width = size
    coarse = (-(-height // 2), -(-width // 2))
    maps4, maps5 = torch.randn(2, 12, *size).double(), torch.randn(2, 20, *coarse).double()
    found = neck(maps4, maps5)
    local5 = conv2d(maps5, neck.local5.weight, neck.local5.bias)
    context = conv2d(maps5.mean((2, 3), keepdim=True), neck.context.weight, neck.context.bias)
    expected = conv2d(maps4, neck.local4.weight, neck.local4.bias) + context
    for row in range(height):
        for column in range(width):
            # The coarse pixel that covers this one.
            expected[:, :, row, column] += local5[:, :, row * coarse[0] // height, column * coarse[1] // width]
    torch.testing.assert_close(found, expected)


def test_attention_weighs_by_numbers_between_0_and_1() -> None:
    torch.manual_seed(0)
    attention = SpatialAttention().train()
    maps = torch.randn(2, 245, 6, 6)
    weights = attention(maps) / maps
    assert weights.min() > 0
    assert weights.max() < 1
    torch.testing.assert_close(weights, attention.weigh(attention.person(maps)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("seed", range(2))
def test_the_heat_maps_loss_follows_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    person, keypoints = rng.random((2, 8, 5, 7)), rng.uniform(-1, 1, (2, 3, 3))
    keypoints[..., 2] = rng.integers(0, 2, (2, 3))
    total = 0.0
    for image, keypoint, row, column in np.ndindex(2, 3, 5, 7):
        x, y, confidence = keypoints[image, keypoint]
        distance2 = ((column + 0.5) / 7 * 2 - 1 - x) ** 2 + ((row + 0.5) / 5 * 2 - 1 - y) ** 2
        total += confidence * (person[image, keypoint, row, column] - np.exp(-distance2 / (2 * 0.2**2))) ** 2
    found = heatmap_loss(torch.from_numpy(person), torch.from_numpy(keypoints), sigma=0.2)
    assert found.item() == pytest.approx(total / (2 * 3 * 5 * 7), rel=1e-5), seed


def test_attention_can_be_taught_where_the_person_is() -> None:
    torch.manual_seed(0)
    backbone = build_backbone({"name": "snet49", "context_enhancement": True, "spatial_attention": True}).train()
    seen: list[torch.Tensor] = []
    backbone.trunk.attend.person.register_forward_hook(lambda *call: seen.append(call[2]))  # type: ignore[union-attr]
    # A bright square on black, and a keypoint in its middle.
    centres = torch.randint(16, 80, (8, 2))
    image = torch.zeros(8, 3, 96, 96)
    for picture, (x, y) in zip(image, centres.tolist(), strict=True):
        picture[:, y - 16 : y + 16, x - 16 : x + 16] = 1
    keypoints = torch.cat((centres / 48 - 1, torch.ones(8, 1)), 1)[:, None]
    optimizer = torch.optim.Adam(backbone.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        seen.clear()
        backbone(image)
        loss = heatmap_loss(seen[0], keypoints, sigma=0.3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses


@pytest.mark.parametrize(
    ("name", "channels", "expected_parameters", "expected_macs"),
    [
        ("snet49", (120, 512), 281_015, 24_429_440),
        ("snet146", (264, 528), 324_135, 38_937_360),
        ("snet535", (496, 992), 608_335, 73_155_040),
    ],
)
def test_thundernets_context_enhancement(
    name: str, channels: tuple[int, int], expected_parameters: int, expected_macs: int
) -> None:
    neck = ContextEnhancement(*channels)
    assert parameters(neck) == expected_parameters
    maps = ((1, channels[0], 20, 20), (1, channels[1], 10, 10))
    assert sum(number for _, number in macs(neck, *maps)) == expected_macs
    with_neck, without = (build_backbone({"name": name, "context_enhancement": enhance}) for enhance in (True, False))
    assert parameters(with_neck) - parameters(without) == expected_parameters


def test_thundernets_spatial_attention() -> None:
    attention = SpatialAttention()
    assert (parameters(attention.person), parameters(attention.weigh)) == (69_847, 63_210)
    assert sum(number for _, number in macs(attention.weigh, (1, 256, 20, 20))) == 25_088_000
