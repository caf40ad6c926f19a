"""Backbones: image (B, 3, H, W), normalised → features (B, F), with F as the attribute `num_features`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from hmr_light.backbones import blank, mobilenet, resnet, squeezenet  # noqa: F401 - each registers its builders
from hmr_light.backbones.base import Backbone, backbones

__all__ = ["Backbone", "backbones", "build_backbone"]


def build_backbone(config: Mapping[str, Any]) -> nn.Module:
    """The backbone that `config` describes: `name`, `weights`, `adapter` (see `conf/backbone/`).

    The module maps images (B, 3, H, W) to features (B, `num_features`). Raises `UserError` for an unknown name or
    option, and for weights that cannot be had or do not fit.
    """
    return backbones.build(config)
