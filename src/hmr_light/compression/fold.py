"""Folding: what is linear in a row becomes one layer, so that the same function has fewer weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch

from hmr_light.checkpoints.transforms import Transform, apply_transforms
from hmr_light.compression.steps import Change, Phase, StepContext, steps
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR


@steps.register("fold")
def fold(*, batch_norms: bool = False) -> Sequence[Phase]:
    """The regressor as one map, where it is one; with `batch_norms`, these within the convolutions before them."""

    def phase(model: HMR, context: StepContext) -> Change:
        transform = Transform(name="fold", options={"batch_norms": batch_norms})
        state = dict(apply_transforms(copy.deepcopy(model), [transform]).state_dict())
        if _numbers(state) >= _numbers(model.state_dict()):
            raise UserError("folded, the model would have no fewer weights", "Leave the step fold out.")
        return Change([transform], state)

    return [phase]


def _numbers(state: Mapping[str, torch.Tensor]) -> int:
    return sum(value.numel() for value in state.values())
