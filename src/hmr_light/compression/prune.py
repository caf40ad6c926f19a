"""Structured pruning: whole channels go, so that the network becomes narrower, and faster everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from hmr_light.compression.cells import Cells
from hmr_light.compression.channels import trace_channels
from hmr_light.compression.importance import CRITERIA
from hmr_light.compression.options import check_patterns, check_shares, of_layers
from hmr_light.compression.plan import Limits, by_importance, measure, uniform, within
from hmr_light.compression.steps import Change, Phase, StepContext, steps
from hmr_light.compression.transfer import narrow
from hmr_light.cost.benchmark import time_ratio
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR

BUDGETS = ("macs", "parameters", "latency")


@steps.register("prune")
def prune(
    *,
    criterion: Literal["l2", "batch_norm", "taylor"] = "l2",
    scope: Literal["layer", "global"] = "layer",
    keep: float = 0.75,
    layers: Mapping[str, Any] | None = None,
    budget: Mapping[str, Any] | None = None,
    multiple: int = 8,
    least: float = 0.1,
    rounds: int = 1,
) -> Sequence[Phase]:
    """The share `keep` of the channels stays, or as many as cost no more than `budget`, in `rounds` phases."""
    shares = dict(layers or {})
    check_shares({"keep": keep, "least": least, **of_layers(shares)})
    for place, number, greatest in (("multiple", multiple, 1024), ("rounds", rounds, 100)):
        if not 1 <= number <= greatest:
            raise UserError(f"compression.{place}={number} is out of range", f"Give from 1 to {greatest}.")
    limits = {}
    for name, limit in (budget or {}).items():
        if name not in BUDGETS:
            raise UserError(f"compression.budget.{name} is no budget", f"Choose of: {', '.join(BUDGETS)}.")
        if limit is not None:
            if name == "latency":
                check_shares({"budget.latency": limit})
            elif isinstance(limit, bool) or not isinstance(limit, int | float) or not 1 <= limit < float("inf"):
                raise UserError(f"compression.budget.{name}={limit} is no number of them", "Give such as 30e6.")
            limits[name] = float(limit)
    plan = Limits(multiple, least, {name: float(share) for name, share in shares.items()})
    return [partial(_phase, criterion, scope, keep, plan, limits, rounds, number) for number in range(rounds)]


def _phase(
    criterion: str,
    scope: str,
    keep: float,
    limits: Limits,
    budget: Mapping[str, float],
    rounds: int,
    number: int,
    model: HMR,
    context: StepContext,
) -> Change:
    """Round `number` (from 0) of `rounds`: each takes the same share of what the one before has left."""
    image_size = context.config.data.image_size
    cells = Cells(trace_channels(model, image_size))
    if not cells.choices:
        raise UserError("the model has no channels that could go", "Choose another step.")
    names = [name for choice in cells.choices for name in choice.outputs]
    check_patterns(limits.layers, names, "layer whose width can change")
    importance = CRITERIA[criterion](model, cells, context)
    planner = uniform(cells, limits) if scope == "layer" else by_importance(cells, importance, limits)
    if budget:
        now, left = measure(model, image_size), rounds - number
        # A cost that is below its limit already stays as it is.
        towards = {
            name: max(limit, now[name] * (limit / now[name]) ** (1 / left)) if now[name] > limit else limit
            for name, limit in budget.items()
            if name in now
        }
        if "latency" in budget:  # a share of the time of what the round before has left
            towards["latency"] = budget["latency"] ** (1 / rounds)
        widths = within(
            planner, towards, cells, model, image_size, lambda narrow: time_ratio(narrow, model, image_size)
        )
    else:
        widths = planner(keep ** (1 / rounds))
    if not widths:
        raise UserError(
            f"nothing is pruned: compression.keep={keep} rounds to every layer's own width",
            "Give a smaller compression.keep or compression.multiple.",
        )
    return narrow(model, cells, widths, importance, image_size).change
