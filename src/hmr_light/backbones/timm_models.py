"""Models of timm (PyTorch Image Models, Wightman), which is installed on demand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hmr_light.backbones.adapters import keeps_classifier, with_adapter
from hmr_light.backbones.base import Backbone
from hmr_light.backbones.weights import load_weights
from hmr_light.errors import UserError, did_you_mean


class TimmTrunk(nn.Module):
    """A timm model without its classifier: image → its pooled features as maps of one pixel (B, F, 1, 1)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.model(image)[:, :, None, None]


def timm_model(name: str, *, weights: str | None = None, adapter: Mapping[str, Any] | None = None) -> Backbone:
    """timm's model `name`; features are what its own head pools, so that transformers serve as well as convolutions.

    `weights` are null, `imagenet` (timm's pretrained weights) or a file with timm's names. Raises `UserError` without
    timm, for a name that it does not know, and for weights that are not available.
    """
    try:
        import timm
    except ImportError as error:
        raise UserError(
            "backbone=timm needs the package timm, which is not installed", "pip install 'hmr-light[timm]'"
        ) from error
    if not timm.is_model(name):
        # As the Hugging Face Hub writes it; timm itself would ask the hub.
        short = name.removeprefix("hf_hub:").removeprefix("hf-hub:").removeprefix("timm/")
        remedy = f"Did you mean '{short}'?" if timm.is_model(short) else did_you_mean(short, timm.list_models())
        raise UserError(f"backbone.name={name} is not a model of timm", remedy)
    try:
        model: Any = timm.create_model(name, pretrained=weights == "imagenet")
    except Exception as error:  # the network's, the cache's, or "no pretrained weights"
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"backbone.name={name} backbone.weights={weights}: timm could not build it: {reason}",
            "Check the network, or give weights by file (backbone.weights=/path/to/file.pth) or none (null).",
        ) from error
    if keeps_classifier(adapter) and not (model.num_classes == 1000 and isinstance(model.get_classifier(), nn.Linear)):
        raise UserError(
            f"backbone.name={name} has no linear classifier of 1000 logits", "Choose backbone/adapter=pooled."
        )
    if weights not in (None, "imagenet"):
        names = model.default_cfg["classifier"]
        prefixes = tuple(f"{part}." for part in ((names,) if isinstance(names, str) else names or ()))
        load_weights(model, name, weights, prefixes, keeps_classifier(adapter))
    classifier = model.get_classifier() if keeps_classifier(adapter) else nn.Identity()
    model.reset_classifier(0)
    channels = model.head_hidden_size
    backbone = with_adapter(adapter, TimmTrunk(model), channels, nn.Sequential(nn.Flatten(), classifier))
    backbone.made_for = int(model.default_cfg["input_size"][-1])
    return backbone
