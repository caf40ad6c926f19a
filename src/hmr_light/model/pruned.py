"""Networks with layers of other widths: what structured pruning leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR


def resize(model: HMR, sizes: Mapping[str, Any], features: int) -> None:
    """Give layers of `model` other widths, in place: name → [inputs, outputs, groups]. Their weights are zeros then.

    `features` is the number of features that the backbone gives then. Raises `UserError` for a layer that is none, and
    for widths that cannot be.
    """
    modules = dict(model.named_modules())
    for name, size in sizes.items():
        if not (isinstance(size, Sequence) and len(size) == 3 and all(_is_width(one) for one in size)):
            raise UserError(f"the transform prune gives {name} the size {size}, which is none")
        inputs, outputs, groups = size
        layer = modules.get(name)
        if isinstance(layer, nn.Conv2d) and not (inputs % groups or outputs % groups):
            layer.in_channels, layer.out_channels, layer.groups = inputs, outputs, groups
            _set(layer, "weight", outputs, inputs // groups, *layer.kernel_size)
            _set(layer, "bias", outputs)
        elif isinstance(layer, nn.Linear):
            layer.in_features, layer.out_features = inputs, outputs
            _set(layer, "weight", outputs, inputs)
            _set(layer, "bias", outputs)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.num_features = inputs
            for key in ("weight", "bias", "running_mean", "running_var"):
                _set(layer, key, inputs)
        else:
            raise UserError(f"the transform prune gives {name} the size {size}, which such a layer cannot have")
    if not _is_width(features):
        raise UserError(f"the transform prune leaves {features} features, which is no number of them")
    model.backbone.num_features = features  # type: ignore[assignment]


def _is_width(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 2**16


def _set(layer: nn.Module, key: str, *shape: int) -> None:
    """Zeros of `shape` in the place of the parameter or buffer `key`, where there is one."""
    before = getattr(layer, key, None)
    if not isinstance(before, torch.Tensor):
        return
    values = torch.zeros(shape, dtype=before.dtype, device=before.device)
    setattr(layer, key, nn.Parameter(values) if isinstance(before, nn.Parameter) else values)
