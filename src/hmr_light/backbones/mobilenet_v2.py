"""MobileNet: V2 (Sandler et al., CVPR 2018), as torchvision has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.weights import load_weights


@backbones.register("mobilenet_v2")
def mobilenet_v2(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """2.2 M parameters in the trunk, 1280 channels."""
    import torchvision

    model = torchvision.models.mobilenet_v2()
    if weights is not None:
        load_weights(model, "mobilenet_v2", weights, "classifier.", keeps_classifier(adapter))
    classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *model.classifier)
    return with_adapter(adapter, model.features, model.last_channel, classifier)
