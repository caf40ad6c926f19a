"""ThunderNet's backbones SNet (Qin et al., ICCV 2019), and its context enhancement and spatial attention as a neck."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import interpolate

from hmr_light.backbones.adapters import own_network
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool, conv_bn
from hmr_light.backbones.shufflenet_v2 import shuffle_stages
from hmr_light.errors import UserError

# Maps of the neck: 5 for each of the 7×7 bins that ThunderNet's detector pools.
NECK = 245
# Maps of the layer that looks for people.
PERSON = 256


class ContextEnhancement(nn.Module):
    """CEM: maps after 16 and 32 pixels and their global mean, each by a 1×1 convolution, added (section 3.3).

    (B, `channels4`, h, w) and (B, `channels5`, h/2, w/2) → (B, 245, h, w).
    """

    def __init__(self, channels4: int, channels5: int) -> None:
        super().__init__()
        self.local4 = nn.Conv2d(channels4, NECK, 1)
        self.local5 = nn.Conv2d(channels5, NECK, 1)
        self.context = nn.Conv2d(channels5, NECK, 1)

    def forward(self, maps4: torch.Tensor, maps5: torch.Tensor) -> torch.Tensor:
        local4 = self.local4(maps4)
        # To the size of the finer maps: twice as large, or one pixel less where that is odd.
        local5 = interpolate(self.local5(maps5), size=local4.shape[-2:], mode="nearest")
        return local4 + local5 + self.context(maps5.mean((2, 3), keepdim=True))


class SpatialAttention(nn.Module):
    """SAM: weighs the neck's maps, pixel by pixel, by where the person is (section 3.3). (B, 245, h, w) → the same.

    In ThunderNet the weights come from the maps of its region proposal network (RPN), which the detector's labels teach
    what is foreground. Here the same two layers make a person map in their place: they learn with the rest of the
    network, and the first channels can be taught keypoint heat-maps, see `heatmap_loss`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.person = nn.Sequential(conv_bn(NECK, NECK, 5, groups=NECK), conv_bn(NECK, PERSON))
        self.weigh = nn.Sequential(nn.Conv2d(PERSON, NECK, 1, bias=False), nn.BatchNorm2d(NECK), nn.Sigmoid())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.weigh(self.person(maps))


class SNet(nn.Module):
    """ShuffleNet V2 with 5×5 depthwise convolutions (section 3.2), and the neck; images (B, 3, H, W) → maps."""

    def __init__(self, stem: int, stages: tuple[int, int, int], conv5: int | None, enhance: bool, attend: bool) -> None:
        super().__init__()
        layers = shuffle_stages(stem, stages, kernel=5)
        stage4 = [layers.pop("stage4")]
        self.to_maps4 = nn.Sequential(layers)
        channels5 = conv5 or stages[-1]
        self.to_maps5 = nn.Sequential(*stage4, *([conv_bn(stages[-1], conv5)] if conv5 else []))
        self.enhance = ContextEnhancement(stages[1], channels5) if enhance else None
        self.attend = SpatialAttention() if attend else None
        self.channels = NECK if enhance else channels5

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps4 = self.to_maps4(image)
        maps = self.to_maps5(maps4)
        if self.enhance is not None:
            maps = self.enhance(maps4, maps)
        return maps if self.attend is None else self.attend(maps)


@backbones.register("snet49")
def snet49(
    *,
    context_enhancement: bool = False,
    spatial_attention: bool = False,
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """0.36 M parameters in the trunk, 512 channels; 245 with the neck (`context_enhancement`, `spatial_attention`)."""
    return _snet("snet49", 24, (60, 120, 240), 512, context_enhancement, spatial_attention, weights, adapter)


@backbones.register("snet146")
def snet146(
    *,
    context_enhancement: bool = False,
    spatial_attention: bool = False,
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """1.0 M parameters in the trunk, 528 channels; 245 with the neck (`context_enhancement`, `spatial_attention`)."""
    return _snet("snet146", 24, (132, 264, 528), None, context_enhancement, spatial_attention, weights, adapter)


@backbones.register("snet535")
def snet535(
    *,
    context_enhancement: bool = False,
    spatial_attention: bool = False,
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """3.5 M parameters in the trunk, 992 channels; 245 with the neck (`context_enhancement`, `spatial_attention`)."""
    return _snet("snet535", 48, (248, 496, 992), None, context_enhancement, spatial_attention, weights, adapter)


def heatmap_loss(person: torch.Tensor, keypoints: torch.Tensor, sigma: float = 0.1) -> torch.Tensor:
    """How far the first K of the person map's channels (B, 256, h, w) are from heat-maps of K keypoints; a number.

    `keypoints` (B, K, 3) are x, y in [-1, 1] over the image, and confidence, as samples have them; each heat-map is a
    Gaussian of deviation `sigma` in these units and height 1 (Tompson et al., NIPS 2014). The mean squared error, by
    confidence. The person map is what `SpatialAttention.person` gives; a forward hook gets hold of it.
    """
    height, width = person.shape[-2:]
    across = (2 * torch.arange(width, device=person.device) + 1) / width - 1
    down = (2 * torch.arange(height, device=person.device) + 1) / height - 1
    x, y, confidence = keypoints[:, :, None, None].unbind(-1)
    target = torch.exp(-((across - x) ** 2 + (down[:, None] - y) ** 2) / (2 * sigma**2))
    return (confidence * (person[:, : keypoints.shape[1]] - target) ** 2).mean()


def _snet(
    name: str,
    stem: int,
    stages: tuple[int, int, int],
    conv5: int | None,
    enhance: bool,
    attend: bool,
    weights: str | None,
    adapter: Mapping[str, Any] | None,
) -> Backbone:
    if attend and not enhance:
        raise UserError(
            "backbone.spatial_attention=true without the maps that it weighs", "Add backbone.context_enhancement=true."
        )
    trunk = SNet(stem, stages, conv5, enhance, attend)
    classifier = nn.Sequential(GlobalPool(), nn.Linear(trunk.channels, 1000))
    return own_network(name, trunk, trunk.channels, classifier, weights, adapter)
