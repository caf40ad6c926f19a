"""How many channels of each layer stay: by a share, by layers' own shares, or within a budget."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from hmr_light.checkpoints.transforms import apply_transforms
from hmr_light.compression.cells import Cells, Choice
from hmr_light.compression.options import fits
from hmr_light.compression.transfer import prune_transform
from hmr_light.cost.macs import count_macs
from hmr_light.cost.parameters import count_parameters
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR

SEARCH_STEPS = 12
"""A share is found to one part in 4,096."""


class Limits(NamedTuple):
    """What a plan holds to."""

    multiple: int
    """Numbers of channels are multiples of this, where they can be."""
    least: float
    """Share of each choice's channels that stays in any case."""
    layers: Mapping[str, float]
    """Shares of layers that have one of their own, by patterns of names."""


Widths = dict[str, int]
Planner = Callable[[float], Widths]
"""A share, more than 0 and at most 1 → the layers' widths."""
TimeOf = Callable[[HMR], float]
"""A narrower network → its time as a share of the wide one's."""


def uniform(cells: Cells, limits: Limits) -> Planner:
    """Every layer keeps the share."""

    def plan(share: float) -> Widths:
        return _widths(cells, limits, lambda choice: share)

    return plan


def by_importance(cells: Cells, importance: torch.Tensor, limits: Limits) -> Planner:
    """The most important cells of all layers stay, so that the share of all cells does."""
    free = torch.tensor([cell for choice in cells.choices for cell in choice.cells])
    ranked = importance[free].sort().values

    def plan(share: float) -> Widths:
        threshold = ranked[min(len(ranked) - 1, round((1 - share) * len(ranked)))]
        return _widths(
            cells, limits, lambda choice: float((importance[torch.tensor(choice.cells)] >= threshold).float().mean())
        )

    return plan


def within(
    planner: Planner, budget: Mapping[str, float], cells: Cells, model: HMR, image_size: int, time_of: TimeOf
) -> Widths:
    """The widths of the greatest share whose network costs no more than `budget` allows.

    `macs` and `parameters` are counted, `latency` is what `time_of` says: each plan that meets the others is asked for
    once. Raises `UserError` for a budget that the narrowest network is above of, and for one that needs no pruning.
    """
    shapes = copy.deepcopy(model).to("meta")
    known: dict[tuple[tuple[str, int], ...], str] = {}

    def costs(widths: Widths) -> str:
        """What of the network with `widths` is above its limit."""
        _, transform = prune_transform(cells, widths, model, image_size)
        counted = measure(apply_transforms(copy.deepcopy(shapes), [transform]), image_size)
        above = [f"{counted[name]:,} {name}" for name in counted if counted[name] > budget.get(name, float("inf"))]
        if not above and "latency" in budget:
            ratio = time_of(apply_transforms(copy.deepcopy(model), [transform])) if widths else 1.0
            above = [f"{ratio:.2f} of the latency"] if ratio > budget["latency"] else []
        return ", ".join(above)

    def over(share: float) -> str:
        widths = planner(share)
        key = tuple(sorted(widths.items()))
        if key not in known:
            known[key] = costs(widths)
        return known[key]

    wanted = " and ".join(f"{name}={limit:,.15g}" for name, limit in budget.items())
    if not over(1.0):
        raise UserError(f"the model costs no more than the budget {wanted} already", "Give a smaller one.")
    low, high = 2.0**-SEARCH_STEPS, 1.0
    if least := over(low):
        raise UserError(
            f"the budget {wanted} cannot be reached: the narrowest network has {least}",
            "Give a larger one, or smaller compression.multiple and compression.least.",
        )
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if over(middle) else (middle, high)
    return planner(low)


def measure(model: HMR, image_size: int) -> dict[str, int]:
    """What `model` costs of that which is counted, by the names that a budget has."""
    shapes = copy.deepcopy(model).to("meta").float()
    return {"macs": count_macs(shapes, image_size).total, "parameters": count_parameters(shapes).total}


def _widths(cells: Cells, limits: Limits, share_of: Callable[[Choice], float]) -> Widths:
    kept = {}
    for number, choice in enumerate(cells.choices):
        own = _own_share(choice, limits.layers)
        share = max(share_of(choice), limits.least) if own is None else own
        wanted = share * choice.parts
        kept[number] = min(choice.allowed(limits.multiple), key=lambda parts: (abs(parts - wanted), parts))
    return cells.widths(kept)


def _own_share(choice: Choice, layers: Mapping[str, float]) -> float | None:
    found = [share for pattern, share in layers.items() if any(fits(name, pattern) for name in choice.outputs)]
    return found[-1] if found else None
