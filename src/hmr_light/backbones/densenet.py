"""DenseNet (Huang et al., CVPR 2017), as torchvision has it."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, with_adapter
from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.blocks import GlobalPool
from hmr_light.backbones.weights import load_weights
from hmr_light.errors import UserError


@backbones.register("densenet121")
def densenet121(
    *, growth_rate: int = 32, weights: str | None = None, adapter: Mapping[str, Any] | None = None
) -> Backbone:
    """7.0 M parameters in the trunk, 1024 channels, at growth rate 32."""
    return _densenet("densenet121", (6, 12, 24, 16), growth_rate, weights, adapter)


@backbones.register("densenet169")
def densenet169(
    *, growth_rate: int = 32, weights: str | None = None, adapter: Mapping[str, Any] | None = None
) -> Backbone:
    """12.5 M parameters in the trunk, 1664 channels, at growth rate 32."""
    return _densenet("densenet169", (6, 12, 32, 32), growth_rate, weights, adapter)


@backbones.register("densenet201")
def densenet201(
    *, growth_rate: int = 32, weights: str | None = None, adapter: Mapping[str, Any] | None = None
) -> Backbone:
    """18.1 M parameters in the trunk, 1920 channels, at growth rate 32."""
    return _densenet("densenet201", (6, 12, 48, 32), growth_rate, weights, adapter)


def _densenet(
    name: str,
    layers: tuple[int, int, int, int],
    growth_rate: int,
    weights: str | None,
    adapter: Mapping[str, Any] | None,
) -> Backbone:
    from torchvision.models import DenseNet

    if not 1 <= growth_rate <= 1024:
        size = "small" if growth_rate < 1 else "large"
        raise UserError(f"backbone.growth_rate={growth_rate} is too {size}", "Give from 1 to 1024.")
    # Twice as many maps enter the first block as each of its layers adds (section 4.2).
    model = DenseNet(growth_rate, layers, num_init_features=2 * growth_rate)
    if weights is not None:
        load_weights(model, name, weights, "classifier.", keeps_classifier(adapter), _present_name)
    # torchvision's forward activates what its last normalisation gives.
    trunk = nn.Sequential(OrderedDict([*model.features.named_children(), ("relu5", nn.ReLU(inplace=True))]))
    classifier = nn.Sequential(GlobalPool(), model.classifier)
    return with_adapter(adapter, trunk, model.classifier.in_features, classifier)


def _present_name(name: str) -> str:
    """torchvision's files are from when module names could have dots: `denselayer1.norm.1.bias`."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", name)
