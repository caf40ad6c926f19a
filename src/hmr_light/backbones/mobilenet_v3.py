"""MobileNet V3 (Howard et al., ICCV 2019): torchvision's two, and the small one of the reference table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, own_network, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool, SqueezeExcitation, conv_bn
from hmr_light.backbones.weights import load_weights

# The small one of the reference tables: kernel, expanded maps, outputs, squeeze-and-excitation, activation, stride.
SMALL: tuple[tuple[int, int, int, bool, type[nn.Module], int], ...] = (
    (3, 16, 16, True, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 2),
    (3, 88, 24, False, nn.ReLU, 1),
    (5, 96, 40, True, nn.Hardswish, 2),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 240, 40, True, nn.Hardswish, 1),
    (5, 120, 48, True, nn.Hardswish, 1),
    (5, 144, 48, True, nn.Hardswish, 1),
    (5, 288, 96, True, nn.Hardswish, 2),
    (5, 576, 96, True, nn.Hardswish, 1),
    (5, 576, 96, True, nn.Hardswish, 1),
)


class Bottleneck(nn.Module):
    """Expand, convolve depthwise, weigh, activate, project; with a shortcut where the sizes allow."""

    def __init__(
        self,
        inputs: int,
        kernel: int,
        expanded: int,
        outputs: int,
        weigh: bool,
        activation: type[nn.Module],
        stride: int,
    ) -> None:
        super().__init__()
        # Weighed before the activation, and by linear layers without bias, both unlike torchvision's.
        weighing = SqueezeExcitation(expanded, expanded // 4, bias=False, gate=nn.Hardsigmoid)
        self.conv = nn.Sequential(
            *conv_bn(inputs, expanded, activation=activation),
            *conv_bn(expanded, expanded, kernel, stride, groups=expanded, activation=None),
            weighing if weigh else nn.Identity(),
            activation(inplace=True),
            *conv_bn(expanded, outputs, activation=None),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps + self.conv(maps) if self.shortcut else self.conv(maps)


@backbones.register("mobilenet_v3_reference")
def mobilenet_v3_reference(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """0.92 M parameters in the trunk, 576 channels: an early reading of the paper.

    With its classifier 2,938,368, as in the reference tables.
    Unlike torchvision's small one, the first block expands too, the widths of squeeze-and-excitation are not rounded,
    there is none of it before the classifier, and the classifier's hidden layer is 1280 wide.
    """
    trunk, inputs = nn.Sequential(conv_bn(3, 16, 3, 2, activation=nn.Hardswish)), 16
    for kernel, expanded, outputs, weigh, activation, stride in SMALL:
        trunk.append(Bottleneck(inputs, kernel, expanded, outputs, weigh, activation, stride))
        inputs = outputs
    trunk.append(conv_bn(inputs, 576, activation=nn.Hardswish))
    classifier = nn.Sequential(
        GlobalPool(), nn.Linear(576, 1280), nn.Hardswish(inplace=True), nn.Dropout(0.2), nn.Linear(1280, 1000)
    )
    return own_network("mobilenet_v3_reference", trunk, 576, classifier, weights, adapter)


@backbones.register("mobilenet_v3_small")
def mobilenet_v3_small(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """0.93 M parameters in the trunk, 576 channels."""
    return _torchvisions("mobilenet_v3_small", 576, weights, adapter)


@backbones.register("mobilenet_v3_large")
def mobilenet_v3_large(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """3.0 M parameters in the trunk, 960 channels."""
    return _torchvisions("mobilenet_v3_large", 960, weights, adapter)


def _torchvisions(name: str, channels: int, weights: str | None, adapter: Mapping[str, Any] | None) -> Backbone:
    import torchvision

    model = torchvision.models.get_model(name, weights=None)
    if weights is not None:
        load_weights(model, name, weights, "classifier.", keeps_classifier(adapter))
    return with_adapter(adapter, model.features, channels, nn.Sequential(GlobalPool(), *model.classifier))
