"""Batch norms alone: the weights stay as they are, and the norms get the statistics that these weights give."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hmr_light.compression.recalibrate import batch_norms, recalibrate
from hmr_light.compression.steps import Change, Phase, StepContext, steps
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR


@steps.register("norms")
def norms() -> Sequence[Phase]:
    """The statistics of the batch norms become those of the calibration images."""
    return [measure_norms]


def measure_norms(model: HMR, context: StepContext) -> Change:
    """The same structure and weights, with the statistics of the batch norms measured anew."""
    if not batch_norms(model):
        raise UserError("the model has no batch norms", "Choose another step.")
    measured = copy.deepcopy(model)
    recalibrate(measured, context.batches())
    return Change([], dict(measured.state_dict()))
