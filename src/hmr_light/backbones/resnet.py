"""ResNet (He et al., CVPR 2016), as torchvision has it: the 50 with its strides in the 3×3 convolutions ("v1.5")."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.weights import load_weights


@backbones.register("resnet18")
def resnet18(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """11.2 M parameters in the trunk, 512 channels."""
    return _resnet("resnet18", weights, adapter)


@backbones.register("resnet34")
def resnet34(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """21.3 M parameters in the trunk, 512 channels."""
    return _resnet("resnet34", weights, adapter)


@backbones.register("resnet50")
def resnet50(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """23.5 M parameters in the trunk, 2048 channels; with the `pooled` adapter, HMR's and SPIN's encoder."""
    return _resnet("resnet50", weights, adapter)


def _resnet(name: str, weights: str | None, adapter: Mapping[str, Any] | None) -> Backbone:
    import torchvision

    model = torchvision.models.get_model(name, weights=None)
    if weights is not None:
        load_weights(model, name, weights, "fc.", keeps_classifier(adapter))
    layers = OrderedDict(model.named_children())
    classifier = nn.Sequential(layers.pop("avgpool"), nn.Flatten(), layers.pop("fc"))
    return with_adapter(adapter, nn.Sequential(layers), model.fc.in_features, classifier)
