"""SqueezeNet (Iandola et al., 2016): torchvision's 1.0 and 1.1, the paper's family, and two with residual blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, own_network, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import Fire, GlobalPool, Layer, Residual, conv_bn, plain_conv
from hmr_light.backbones.weights import load_weights
from hmr_light.errors import UserError

# Of 1.0: the stem's maps, and the expanded maps of fire2…fire9; pooling follows fire4 and fire8 (table 1).
STEM = 96
EXPANDED = (128, 128, 256, 256, 384, 384, 512, 512)
POOLED = (2, 6)


@backbones.register("squeezenet1_0")
def squeezenet1_0(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """0.74 M parameters in the trunk, 512 channels."""
    return _torchvisions("squeezenet1_0", weights, adapter)


@backbones.register("squeezenet1_1")
def squeezenet1_1(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """0.72 M parameters in the trunk, 512 channels; under half of 1.0's multiply-accumulates."""
    return _torchvisions("squeezenet1_1", weights, adapter)


@backbones.register("squeezenet")
def squeezenet(
    *,
    squeeze_ratio: float = 0.125,
    share_3x3: float = 0.5,
    bypass: Literal["none", "simple", "complex"] = "none",
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """SqueezeNet 1.0's family (sections 5 and 6), 512 channels; at the defaults, torchvision's 1.0.

    Squeezed maps are `squeeze_ratio` of the expanded ones (SR), of which `share_3x3` come from 3×3 convolutions
    (pct_3×3). `bypass` puts shortcuts around Fire modules: `simple` around those whose input is as wide as their
    output, `complex` around the others too, by 1×1 convolutions.
    """
    if not 0 < squeeze_ratio <= 1:
        raise UserError(f"backbone.squeeze_ratio={squeeze_ratio} is out of range", "Give more than 0 and at most 1.")
    if not 0 < share_3x3 < 1:
        raise UserError(f"backbone.share_3x3={share_3x3} is out of range", "Give more than 0 and less than 1.")

    def block(inputs: int, expanded: int) -> nn.Module:
        module = fire(inputs, expanded, squeeze_ratio, share_3x3)
        if bypass == "none" or (bypass == "simple" and inputs != expanded):
            return module
        return Residual(module, None if inputs == expanded else nn.Conv2d(inputs, expanded, 1))

    return own_network("squeezenet", _trunk(block), 512, _classifier(), weights, adapter)


@backbones.register("squeezenet_bottleneck")
def squeezenet_bottleneck(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """SqueezeNet 1.0 with bottleneck residual blocks for Fire modules; 512 channels.

    Our reading of a proposal of the reference tables. The blocks are MobileNetV2's, in which they find the name. Each
    keeps its Fire module's widths: it expands to as many maps as that, convolves them depthwise, and hands on only as
    many as that squeezes to, so that the thin maps are those with the shortcuts. A last 1×1 convolution expands once
    more.
    """
    from torchvision.models.mobilenetv2 import InvertedResidual

    trunk, inputs = _stem(), STEM
    for index, expanded in enumerate(EXPANDED):
        trunk.append(InvertedResidual(inputs, expanded // 8, stride=1, expand_ratio=expanded / inputs))
        inputs = expanded // 8
        if index in POOLED:
            trunk.append(max_pool())
    trunk.append(conv_bn(inputs, 512))
    return own_network("squeezenet_bottleneck", trunk, 512, _classifier(), weights, adapter)


@backbones.register("squeezenet_2")
def squeezenet_2(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """1.7 M parameters in the trunk, 512 channels. Inferred: of the reference squeezenet_2 only the count is known.

    SqueezeNet 1.0 with a bottleneck residual block (He et al., CVPR 2016) before each Fire module but the first, and a
    normalised classifier: one of several networks with the reference tables' 4,606,613 parameters in all.
    """

    def block(inputs: int, expanded: int) -> nn.Module:
        module = fire(inputs, expanded)
        if inputs == STEM:
            return module
        inner = expanded // 4
        bottleneck = nn.Sequential(
            conv_bn(inputs, inner), conv_bn(inner, inner, 3), conv_bn(inner, inputs, activation=None)
        )
        return nn.Sequential(Residual(bottleneck), nn.ReLU(inplace=True), module)

    classifier = nn.Sequential(nn.Dropout(0.5), *conv_bn(512, 1000, bias=True), GlobalPool())
    return own_network("squeezenet_2", _trunk(block), 512, classifier, weights, adapter)


def _torchvisions(name: str, weights: str | None, adapter: Mapping[str, Any] | None) -> Backbone:
    import torchvision

    model = torchvision.models.get_model(name, weights=None)
    if weights is not None:
        load_weights(model, name, weights, "classifier.", keeps_classifier(adapter))
    return with_adapter(adapter, model.features, 512, nn.Sequential(*model.classifier, nn.Flatten()))


def _trunk(block: Callable[[int, int], nn.Module]) -> nn.Sequential:
    """Stem, the eight modules that `block` makes of (inputs, expanded), and the pooling between."""
    trunk, inputs = _stem(), STEM
    for index, expanded in enumerate(EXPANDED):
        trunk.append(block(inputs, expanded))
        inputs = expanded
        if index in POOLED:
            trunk.append(max_pool())
    return trunk


def _stem() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, STEM, 7, stride=2), nn.ReLU(inplace=True), max_pool())


def max_pool() -> nn.MaxPool2d:
    """Halves the maps' size, rounded up."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def fire(
    inputs: int, expanded: int, squeeze_ratio: float = 0.125, share_3x3: float = 0.5, layer: Layer = plain_conv
) -> Fire:
    """A Fire module by the paper's parameters: `squeeze_ratio` (SR) and `share_3x3` (pct_3×3) of the expanded maps."""
    squeeze = max(1, round(squeeze_ratio * expanded))
    expand3x3 = min(max(1, round(share_3x3 * expanded)), expanded - 1)
    return Fire(inputs, squeeze, expanded - expand3x3, expand3x3, layer)


def _classifier() -> nn.Sequential:
    return nn.Sequential(nn.Dropout(0.5), nn.Conv2d(512, 1000, 1), nn.ReLU(inplace=True), GlobalPool())
