"""ShuffleNet: its unit, and the counts that papers print."""

from __future__ import annotations

import pytest
import torch
from support.backbones import classifier, macs, total_macs
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.shufflenet_v1 import ShuffleUnit


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_a_shuffle_unit_follows_figure_2(groups: int) -> None:
    torch.manual_seed(groups)
    maps = torch.randn(2, 24, 7, 7)
    keep = ShuffleUnit(24, 24, 1, groups, first=False, bias=False, weigh=False).eval()
    reduce = ShuffleUnit(24, 48, 2, groups, first=True, bias=True, weigh=False).eval()
    with torch.no_grad():
        inner = nn.ChannelShuffle(groups)(keep.compress(maps))
        assert inner.shape[1] == 6
        torch.testing.assert_close(keep(maps), (maps + keep.expand(keep.depthwise(inner))).clamp(min=0))
        added = reduce.expand(reduce.depthwise(nn.ChannelShuffle(groups)(reduce.compress(maps))))
        pooled = nn.AvgPool2d(3, 2, 1)(maps)
        torch.testing.assert_close(reduce(maps), torch.cat((pooled, added), 1).clamp(min=0))
    convolutions = [layer for layer in keep.modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.groups for layer in convolutions] == [groups, 6, groups]
    assert reduce.compress[0].groups == 1


@pytest.mark.parametrize(
    ("groups", "expected"),
    [(1, 142_502_976), (2, 140_036_512), (3, 136_500_672), (4, 133_251_776), (8, 136_829_952)],
)
def test_shufflenets_complexities_are_of_convolutions_alone(groups: int, expected: int) -> None:
    # Table 1's 143, 140, 137, 133, 137 M.
    counts = macs(classifier("shufflenet_v1", groups=groups), (1, 3, 224, 224))
    assert sum(number for layer, number in counts if isinstance(layer, nn.Conv2d)) == expected


def test_shufflenets_squeeze_and_excitation() -> None:
    # Table 5's 527 M.
    assert total_macs(classifier("shufflenet_v1", scale=2.0, squeeze_excitation=True)) == 526_925_184


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.7, 1.5, 2.0])
def test_shufflenet_can_be_built_at_any_scale(groups: int, scale: float) -> None:
    unscaled = {1: 576, 2: 800, 3: 960, 4: 1088, 8: 1536}[groups]
    trunk = build_backbone({"name": "shufflenet_v1", "groups": groups, "scale": scale})
    assert trunk.num_features == pytest.approx(unscaled * scale, rel=0.06)
    assert total_macs(trunk, 96) > 0
