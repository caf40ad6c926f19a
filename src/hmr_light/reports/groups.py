"""Rows of several seeds as one: mean ± standard deviation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from hmr_light.reports.rows import Row

# Rows that differ in one of these are not of one experiment.
SAME = (
    "model",
    "recipe",
    "parameters",
    "data_fingerprint",
    "body",
    "evaluated_on",
    "evaluation_fingerprint",
    "protocol",
)
STANDARD_DEVIATIONS = {
    "mpjpe_mm": "mpjpe_std_mm",
    "reconstruction_error_mm": "reconstruction_error_std_mm",
    "pve_mm": "pve_std_mm",
    "inference_time_s": "inference_time_std_s",
}


def combine_seeds(rows: Sequence[Row], *, same_epoch: bool = False) -> list[Row]:
    """One row for the rows of one model, trained alike on the same data (and of one epoch), in the order of the first.

    Of each seed the newest run counts, since equal seeds are no second draw. Figures are means and standard deviations
    (n - 1) over the runs; a figure that one of them lacks is missing. Where the figures come from is told of every run.
    """
    same = (*SAME, "epoch") if same_epoch else SAME
    groups: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in rows:
        seeds = groups.setdefault(tuple(getattr(row, name) for name in same), {})
        before = seeds.get(row.seed)
        if before is None or row.pt.partition(")")[2] >= before.pt.partition(")")[2]:
            seeds[row.seed] = row
    return [_combine([seeds[seed] for seed in sorted(seeds, key=_number)]) for seeds in groups.values()]


def _combine(rows: list[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    figures: dict[str, Any] = {}
    for name, deviation in STANDARD_DEVIATIONS.items():
        values = [getattr(row, name) for row in rows]
        known = all(value is not None for value in values)
        figures[name], figures[deviation] = (fmean(values), stdev(values)) if known else (None, None)
    texts = {
        field.name: ", ".join(dict.fromkeys(str(getattr(row, field.name)) for row in rows))
        for field in dataclasses.fields(Row)
        if field.type == "str" and field.name not in SAME
    }
    return dataclasses.replace(
        rows[0],
        **{**texts, **figures, "pt": f"{len(rows)} runs", "epoch": max(row.epoch for row in rows), "runs": len(rows)},
    )


def _number(seed: str) -> tuple[int, str]:
    return (int(seed), seed) if seed.isdecimal() else (0, seed)
