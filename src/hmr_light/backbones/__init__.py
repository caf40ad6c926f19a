"""Backbones: image (B, 3, H, W), normalised → features (B, F), with F as the attribute `num_features`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from torch import nn

from hmr_light.backbones.base import Backbone, backbones
from hmr_light.backbones.normalization import SymmetricPixels
from hmr_light.backbones.rewrites import rewrite
from hmr_light.backbones.timm_models import timm_model
from hmr_light.backbones.weights import complete
from hmr_light.config.registry import check_options
from hmr_light.errors import UserError

__all__ = ["Backbone", "backbones", "build_backbone", "complete"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")  # each registers its builders


def build_backbone(config: Mapping[str, Any]) -> nn.Module:
    """The backbone that `config` describes (see `conf/backbone/`).

    Its `name` and options; where `library` is `timm`, a model of that name there. `rewrites` lists changes that apply
    to any backbone, in order (`hmr_light.backbones.rewrites`); `pixels: symmetric` is for one that takes RGB in -1 … 1.
    The module maps images (B, 3, H, W) to features (B, `num_features`). Raises `UserError` for an unknown name or
    option, and for weights that are not available or do not fit.
    """
    options = complete(config)
    rewrites = options.pop("rewrites", None) or []
    library = options.pop("library", None)
    pixels = options.pop("pixels", None)
    if pixels not in (None, "symmetric"):
        raise UserError(f"backbone.pixels={pixels} is not known", "Choose symmetric, or leave it out.")
    if not isinstance(rewrites, Sequence) or isinstance(rewrites, str):
        raise UserError(f"backbone.rewrites={rewrites!r} is not a list", f"Give backbone.rewrites=[{rewrites}].")
    if rewrites and options.get("weights") is not None:
        raise UserError(
            "backbone.rewrites replace layers for which backbone.weights has no values",
            "Leave one of them out: backbone.rewrites=[] or backbone.weights=null.",
        )
    if library is None:
        backbone = backbones.build(options)
    elif library == "timm":
        name = str(options.pop("name", ""))
        check_options("backbone", name, timm_model, options)
        backbone = timm_model(name, **options)
    else:
        raise UserError(f"backbone.library={library} is not known", "Choose timm, or leave it out.")
    if rewrites:
        rewrite(getattr(backbone, "trunk", backbone), rewrites)
    return SymmetricPixels(backbone) if pixels or getattr(backbone, "pixels", None) else backbone
