"""8-bit integers: after training from calibration images, or with training that sees the rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch

from hmr_light.backbones.state_dicts import State
from hmr_light.checkpoints.transforms import Transform, apply_transforms
from hmr_light.compression.features import normalised
from hmr_light.compression.options import check_patterns, fits
from hmr_light.compression.ranges import Ranges, extremes, histograms, least_divergence, percentile
from hmr_light.compression.steps import Change, Phase, StepContext, steps
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.model.integers import LEVELS, MOST, Int8Weights, can_be_int8, freeze
from hmr_light.model.regressors.feedforward import FeedForwardRegressor
from hmr_light.model.sharing import SharedWeights

# `percentile` is an option's name too.
_percentile = percentile


@steps.register("int8")
def int8(
    *,
    method: Literal["minmax", "percentile", "entropy"] = "percentile",
    percentile: float = 99.999,
    per_channel: bool = True,
    keep_float: Sequence[str] | None = None,
    train: bool = False,
) -> Sequence[Phase]:
    """All convolutions and linear layers but `keep_float` in integers; `train`: fine-tuned so, in a phase before."""
    if not 50 <= percentile <= 100:
        raise UserError(
            f"compression.percentile={percentile} is too {'small' if percentile < 50 else 'large'}", "Give 50 to 100."
        )
    kept = list(keep_float or ())

    def quantise(model: HMR, context: StepContext) -> Change:
        if any(isinstance(layer, SharedWeights | Int8Weights) for layer in model.modules()):
            raise UserError(
                "the model has layers that share weights, or are integers already: they cannot become integers",
                "Take the checkpoint from before share or int8: each of them says how weights are stored.",
            )
        fold = _folding(model)
        folded, normalise = normalised(apply_transforms(model, [fold]), context.batches())
        names = _layers(folded, kept)
        found = extremes(folded, names, context.batches)
        if method != "minmax":
            counts = histograms(folded, names, context.batches, found)
            for name in names:
                share = least_divergence(counts[name]) if method == "entropy" else _percentile(counts[name], percentile)
                found[name] = _cut(found[name], share)
        state = _state(folded, found, per_channel, frozen=not train)
        return Change([fold, *normalise, Transform(name="int8", options={"layers": names, "frozen": not train})], state)

    def integers(model: HMR, context: StepContext) -> Change:
        freeze(model)
        return Change([Transform(name="freeze_int8", options={})], dict(model.state_dict()))

    return [quantise, integers] if train else [quantise]


def _folding(model: HMR) -> Transform:
    """The batch norms within their convolutions, as integer arithmetic wants them, where the network can be traced.

    The batch norm of an MLP's inputs stays before its first layer (see `normalised`).
    """
    regressor = {"regressor": False} if isinstance(model.regressor, FeedForwardRegressor) else {}
    whole = Transform(name="fold", options={"batch_norms": True} | regressor)
    try:
        apply_transforms(model, [whole])
    except UserError:
        return Transform(name="fold", options={"batch_norms": False} | regressor)
    return whole


def _cut(found: tuple[float, float], share: float) -> tuple[float, float]:
    bound = share * max(-found[0], found[1])
    return max(found[0], -bound), min(found[1], bound)


def _state(model: HMR, ranges: Ranges, per_channel: bool, *, frozen: bool) -> State:
    """The weights of `model` with the scales, zero points and whole numbers of the layers in `ranges`."""
    state = dict(model.state_dict())
    for name, (least, most) in ranges.items():
        weight = state[f"{name}.weight"]
        scale = (most - least) / LEVELS or 1.0
        greatest = weight.abs().flatten(1).amax(1)
        if not per_channel:
            greatest = greatest.max().expand_as(greatest)
        factors = torch.where(greatest > 0, greatest / MOST, torch.ones_like(greatest)).float().contiguous()
        state[f"{name}.input_scale"] = torch.tensor(scale, dtype=torch.float32)
        state[f"{name}.input_zero_point"] = torch.tensor(round(-least / scale), dtype=torch.int32)
        state[f"{name}.weight_scale"] = factors
        if frozen:
            whole = torch.round(state.pop(f"{name}.weight") / factors.view(-1, *[1] * (weight.dim() - 1)))
            state[f"{name}.integers"] = whole.clamp(-MOST, MOST).to(torch.int8)
    return state


def _layers(model: HMR, kept: Sequence[Any]) -> list[str]:
    """The layers that become integers. Raises `UserError` for a pattern in `kept` that fits none, and for no layer."""
    named = [name for name, layer in model.named_modules() if can_be_int8(layer)]
    check_patterns(kept, named, "convolution or linear layer", "keep_float")
    chosen = [name for name in named if not any(fits(name, pattern) for pattern in kept)]
    if not chosen:
        raise UserError("the model has no layer that could compute in integers", "Choose another step.")
    return chosen
