"""Weights that are zero and stay zero: unstructured sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from hmr_light.errors import UserError


def keep_zeros(model: nn.Module, names: Sequence[Any]) -> None:
    """Let the weights of the layers `names` of `model` that are zero stay zero in training, in place.

    The zeros are their own mask: their gradient is zero, so no optimizer moves them, with weight decay neither, and a
    state dict needs nothing beside the weights. It holds for copies of the layer, and for weights that take the place
    of these. Raises `UserError` for a name that is no convolution or linear layer.
    """
    modules = dict(model.named_modules())
    for name in names:
        layer = modules.get(str(name))
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            raise UserError(f"the transform sparse names {name}, which is no convolution or linear layer of the model")
        layer.register_forward_pre_hook(_mask_gradient)


def _mask_gradient(layer: nn.Module, _: Any) -> None:
    """Before each pass; a weight that is new to the layer gets a hook of its own, which copies would not have."""
    weight = layer.weight
    if isinstance(weight, nn.Parameter) and weight.requires_grad and not getattr(weight, "keeps_zeros", False):
        weight.register_hook(lambda gradient: gradient * (weight != 0))
        weight.keeps_zeros = True  # type: ignore[attr-defined]
