"""MobileNet V2 (Sandler et al., CVPR 2018), as torchvision has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool
from hmr_light.backbones.padding import pad_same
from hmr_light.backbones.weights import load_weights
from hmr_light.errors import UserError


@backbones.register("mobilenet_v2")
def mobilenet_v2(
    *,
    width: float = 1.0,
    padding: Literal["torch", "same"] | None = None,
    layout: Literal["torchvision", "reference"] = "torchvision",
    weights: str | None = None,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """2.2 M parameters in the trunk, 1280 channels, at `width` 1.

    `width` is the paper's multiplier (section 4), rounded to multiples of 8. With `padding` `same`, strided
    convolutions are padded as in TensorFlow; names and shapes of the weights are the same. None is `torch`'s. With
    `layout` `reference` the same network is cut into the modules that the reference table of sizes counts: an identity
    after each block, one that pools.
    """
    import torchvision

    if not 0 < width <= 4:
        raise UserError(f"backbone.width={width} is out of range", "Give more than 0 and at most 4.")
    model = torchvision.models.mobilenet_v2(width_mult=width)
    if weights is not None:
        load_weights(model, "mobilenet_v2", weights, "classifier.", keeps_classifier(adapter))
    if padding == "same":
        pad_same(model.features)
    if layout == "reference":
        for block in model.features[1:-1]:
            block.conv.append(nn.Identity())
        classifier = nn.Sequential(GlobalPool(), *model.classifier)
    else:
        classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *model.classifier)
    return with_adapter(adapter, model.features, model.last_channel, classifier)
