"""SqueezeNet (Iandola et al., 2016), as torchvision has it: no normalisation, a convolution as its classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.weights import load_weights


@backbones.register("squeezenet1_0")
def squeezenet1_0(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """0.74 M parameters in the trunk, 512 channels."""
    return _squeezenet("squeezenet1_0", weights, adapter)


@backbones.register("squeezenet1_1")
def squeezenet1_1(*, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """0.72 M parameters in the trunk, 512 channels; under half of 1.0's multiply-accumulates."""
    return _squeezenet("squeezenet1_1", weights, adapter)


def _squeezenet(name: str, weights: str | None, adapter: Mapping[str, Any] | None) -> Backbone:
    import torchvision

    model = torchvision.models.get_model(name, weights=None)
    if weights is not None:
        load_weights(model, name, weights, "classifier.", keeps_classifier(adapter))
    return with_adapter(adapter, model.features, 512, nn.Sequential(*model.classifier, nn.Flatten()))
