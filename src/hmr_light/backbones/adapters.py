"""Adapters: how the trunk's maps (B, C, h, w) become features (B, F), whatever the size of the maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from hmr_light.backbones.base import Backbone
from hmr_light.backbones.blocks import initialize
from hmr_light.backbones.weights import load_weights
from hmr_light.config.registry import Registry
from hmr_light.errors import UserError

# A builder gets the trunk's number of channels and the family's own ImageNet classifier, maps → logits.
adapters: Registry[tuple[nn.Module, int]] = Registry("backbone.adapter")

POOLED: Mapping[str, Any] = {"name": "pooled"}


def with_adapter(config: Mapping[str, Any] | None, trunk: nn.Module, channels: int, classifier: nn.Module) -> Backbone:
    """`trunk`, which gives maps of `channels` channels, with the adapter that `config` describes; None for `pooled`.

    `classifier` maps the trunk's maps to ImageNet's logits; of the adapters, `logits` keeps it.
    """
    adapter, num_features = adapters.build(POOLED if config is None else config, channels, classifier)
    return Backbone(trunk, adapter, num_features)


def own_network(
    name: str,
    trunk: nn.Module,
    channels: int,
    classifier: nn.Module,
    weights: str | None,
    adapter: Mapping[str, Any] | None,
    rename: Callable[[str], str] = str,
) -> Backbone:
    """A network that torchvision lacks, freshly initialised or from the file `weights`, with the adapter.

    In the file, names begin with `features.` (the trunk) and `classifier.`, as in torchvision's networks, or `rename`
    makes such names of them.
    """
    whole = nn.ModuleDict({"features": trunk, "classifier": classifier})
    initialize(whole)
    if weights == "imagenet":
        raise UserError(
            f"backbone.weights=imagenet: torchvision has no {name}, so there are no weights to load",
            "Start from random weights (backbone.weights=null) or from a file (backbone.weights=/path/to/file.pth).",
        )
    if weights is not None:
        load_weights(whole, name, weights, "classifier.", keeps_classifier(adapter), rename)
    return with_adapter(adapter, trunk, channels, classifier)


def keeps_classifier(config: Mapping[str, Any] | None) -> bool:
    """Whether the adapter that `config` describes uses the classifier's weights."""
    return config is not None and config.get("name") == "logits"


@adapters.register("pooled")
def pooled(channels: int, classifier: nn.Module) -> tuple[nn.Module, int]:
    """The mean of each map."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), channels


@adapters.register("logits")
def logits(channels: int, classifier: nn.Module, *, dropout: float | None = None) -> tuple[nn.Module, int]:
    """The 1000 logits of the whole ImageNet classifier; `dropout` replaces the classifier's own rate."""
    if dropout is not None:
        _check_dropout(dropout)
        for module in classifier.modules():
            if isinstance(module, nn.Dropout):
                module.p = dropout
    return classifier, 1000


@adapters.register("conv")
def conv(channels: int, classifier: nn.Module, *, features: int, dropout: float = 0.0) -> tuple[nn.Module, int]:
    """A 1×1 convolution to `features` maps, ReLU, then the mean of each: SqueezeNet's classifier of another width."""
    _check(features, dropout)
    layer = nn.Conv2d(channels, features, kernel_size=1)
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Dropout(dropout), layer, nn.ReLU(inplace=True), pool, nn.Flatten()), features


@adapters.register("linear")
def linear(channels: int, classifier: nn.Module, *, features: int, dropout: float = 0.0) -> tuple[nn.Module, int]:
    """The mean of each map, then a linear layer to `features` numbers."""
    _check(features, dropout)
    layer = nn.Linear(channels, features)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), layer), features


def _check(features: int, dropout: float) -> None:
    if not 1 <= features <= 16384:
        size = "small" if features < 1 else "large"
        raise UserError(f"backbone.adapter.features={features} is too {size}", "Give from 1 to 16384.")
    _check_dropout(dropout)


def _check_dropout(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise UserError(f"backbone.adapter.dropout={dropout} is out of range", "Give at least 0 and less than 1.")
