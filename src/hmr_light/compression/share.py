"""Weight sharing: the weights of a layer become the nearest of a few values (Han et al., ICLR 2016, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch

from hmr_light.checkpoints.transforms import Transform
from hmr_light.compression.features import normalised
from hmr_light.compression.kmeans import clusters
from hmr_light.compression.options import check_patterns, of_layers, own_value
from hmr_light.compression.steps import Change, Phase, StepContext, steps
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.model.sharing import can_share


@steps.register("share")
def share(
    *,
    bits: int = 6,
    layers: Mapping[str, Any] | None = None,
    scale: Literal["none", "channel"] = "none",
) -> Sequence[Phase]:
    """2^`bits` values for the weights of each layer, or its number of bits in `layers`; 0 leaves a layer as it is."""
    own = dict(layers or {})
    for place, value in {"bits": bits, **of_layers(own)}.items():
        if type(value) is not int or not 0 <= value <= 8:
            raise UserError(
                f"compression.{place}={value} is no number of bits", "Give 1 to 8, or 0 for a layer as it is."
            )

    def phase(model: HMR, context: StepContext) -> Change:
        chosen = _bits_of_layers(model, bits, own)
        normalise: list[Transform] = []
        if any(getattr(model.regressor, "first", None) is model.get_submodule(name) for name in chosen):
            model, normalise = normalised(model, context.batches())
        options: dict[str, Any] = {}
        state = dict(model.state_dict())
        for name, number in chosen.items():
            weight = state.pop(f"{name}.weight")
            factors = _scales(weight) if scale == "channel" else None
            indices, codebook, has_zero = quantised(weight if factors is None else _divided(weight, factors), number)
            options[name] = {"values": len(codebook), "zero": has_zero, "scale": factors is not None}
            state |= {f"{name}.indices": indices, f"{name}.codebook": codebook}
            if factors is not None:
                state[f"{name}.scales"] = factors
        return Change([*normalise, Transform(name="share", options={"layers": options})], state)

    return [phase]


def quantised(weight: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """The indices (uint8, of the shape of `weight`), the codebook, and whether index 0 is zero.

    It is where a larger share of the weights is zero than one value stands for: pruned weights, which stay zeros.
    """
    values = weight.detach().cpu().numpy().ravel()
    is_zero = values == 0
    has_zero = bool(is_zero.mean() > 2.0**-bits) and not is_zero.all()
    kept = ~is_zero if has_zero else np.ones_like(is_zero)
    centres, nearest = clusters(values[kept], 2**bits - has_zero)
    indices = np.zeros(len(values), np.uint8)
    indices[kept] = nearest + has_zero
    codebook = torch.from_numpy(centres).to(weight)
    return torch.from_numpy(indices).view(weight.shape).to(weight.device), codebook, has_zero


def _scales(weight: torch.Tensor) -> torch.Tensor:
    """The root mean square (out,) of each output channel's weights; 1 where they are all zero."""
    scales = weight.flatten(1).square().mean(1).sqrt()
    return torch.where(scales > 0, scales, torch.ones_like(scales))


def _divided(weight: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return weight / scales.view(-1, *[1] * (weight.dim() - 1))


def _bits_of_layers(model: HMR, bits: int, own: Mapping[str, int]) -> dict[str, int]:
    """The bits of each layer that shares. Raises `UserError` for a pattern that fits none, and for no layer."""
    named = {name: layer for name, layer in model.named_modules() if can_share(layer)}
    check_patterns(own, list(named), "convolution or linear layer")
    found = {name: own_value(name, own) for name in named}
    chosen = {name: bits if value is None else value for name, value in found.items()}
    # A layer of fewer weights than its codebook would have values has nothing to share.
    chosen = {name: one for name, one in chosen.items() if one and named[name].weight.numel() > 2 ** (one + 1)}
    if not chosen:
        raise UserError("the model has no layer whose weights could be shared", "Choose another step.")
    return chosen
