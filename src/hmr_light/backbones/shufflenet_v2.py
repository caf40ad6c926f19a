"""ShuffleNet V2 (Ma et al., ECCV 2018): torchvision's, and ours with a residual path in each unit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, own_network, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool, Residual, SqueezeExcitation, channel_shuffle, conv_bn
from hmr_light.backbones.weights import load_weights

UNITS = (4, 8, 4)


class ShuffleUnit(nn.Module):
    """Half of the maps pass, the other half are convolved, and both are shuffled (figure 3c); names as in torchvision.

    With stride 2 both branches see all maps and are convolved (figure 3d). `kernel` is the depthwise convolutions';
    with `residual`, the convolved half has a shortcut of its own (section 4, "Generalization to Large Models"). With
    `xception`, it is three pairs of a depthwise and a 1×1 convolution (Guo et al., "Single Path One-Shot", ECCV 2020);
    with `weigh`, it ends in squeeze-and-excitation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        kernel: int = 3,
        residual: bool = False,
        *,
        xception: bool = False,
        weigh: bool = False,
    ) -> None:
        super().__init__()
        half = outputs // 2
        seen = inputs if stride == 2 else half
        if xception:
            pairs = ((seen, stride), (half, 1), (half, 1))
            layers = [
                layer
                for maps, step in pairs
                for layer in (
                    *conv_bn(maps, maps, kernel, step, groups=maps, activation=None),
                    *conv_bn(maps, half),
                )
            ]
        else:
            layers = [
                *conv_bn(seen, half),
                *conv_bn(half, half, kernel, stride, groups=half, activation=None),
                *conv_bn(half, half),
            ]
        if weigh:
            layers.append(SqueezeExcitation(half, max(1, half // 4), gate=nn.Hardsigmoid))
        convolved = nn.Sequential(*layers)
        if stride == 2:
            self.branch1 = nn.Sequential(
                *conv_bn(inputs, inputs, kernel, 2, groups=inputs, activation=None), *conv_bn(inputs, half)
            )
        self.branch2 = Residual(convolved) if residual and stride == 1 else convolved
        self.stride = stride

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        if self.stride == 1:
            kept, convolved = maps.chunk(2, dim=1)
            joined = torch.cat((kept, self.branch2(convolved)), dim=1)
        else:
            joined = torch.cat((self.branch1(maps), self.branch2(maps)), dim=1)
        return channel_shuffle(joined, 2)


def shuffle_stages(
    stem: int, stages: tuple[int, int, int], kernel: int = 3, residual: bool = False
) -> OrderedDict[str, nn.Module]:
    """Stem and stages, with outputs after 4, 8, 16 and 32 pixels; names as in torchvision."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=conv_bn(3, stem, 3, 2), maxpool=nn.MaxPool2d(3, stride=2, padding=1)
    )
    inputs = stem
    for number, (outputs, units) in enumerate(zip(stages, UNITS, strict=True), start=2):
        layers[f"stage{number}"] = nn.Sequential(
            ShuffleUnit(inputs, outputs, 2, kernel),
            *[ShuffleUnit(outputs, outputs, 1, kernel, residual) for _ in range(units - 1)],
        )
        inputs = outputs
    return layers


@backbones.register("shufflenet_v2_x0_5")
def shufflenet_v2_x0_5(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """0.34 M parameters in the trunk, 1024 channels."""
    return _torchvisions("shufflenet_v2_x0_5", weights, adapter)


@backbones.register("shufflenet_v2_x1_0")
def shufflenet_v2_x1_0(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """1.3 M parameters in the trunk, 1024 channels."""
    return _torchvisions("shufflenet_v2_x1_0", weights, adapter)


@backbones.register("shufflenet_v2_x1_5")
def shufflenet_v2_x1_5(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """2.5 M parameters in the trunk, 1024 channels."""
    return _torchvisions("shufflenet_v2_x1_5", weights, adapter)


@backbones.register("shufflenet_v2_x2_0")
def shufflenet_v2_x2_0(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """5.3 M parameters in the trunk, 2048 channels."""
    return _torchvisions("shufflenet_v2_x2_0", weights, adapter)


@backbones.register("shufflenet_residual")
def shufflenet_residual(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """ShuffleNet V2 1× with a residual path in each unit of stride 1; 1024 channels.

    A proposal of the reference tables: ShuffleNet with residual blocks and say no more. V1 has shortcuts; V2's authors
    add them to their deeper networks. They cost no parameters.
    """
    layers = shuffle_stages(24, (116, 232, 464), residual=True)
    layers["conv5"] = conv_bn(464, 1024)
    classifier = nn.Sequential(GlobalPool(), nn.Linear(1024, 1000))
    return own_network("shufflenet_residual", nn.Sequential(layers), 1024, classifier, weights, adapter)


def _torchvisions(name: str, weights: str | None, adapter: Mapping[str, Any] | None) -> Backbone:
    import torchvision

    model = torchvision.models.get_model(name, weights=None)
    if weights is not None:
        load_weights(model, name, weights, "fc.", keeps_classifier(adapter))
    layers = OrderedDict(model.named_children())
    classifier = nn.Sequential(GlobalPool(), layers.pop("fc"))
    return with_adapter(adapter, nn.Sequential(layers), model.fc.in_features, classifier)
