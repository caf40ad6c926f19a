"""Rows of several seeds as one: mean ± standard deviation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import fmean, stdev

from hmr_light.reports.rows import COUNTS, Row

# Rows that differ in one of these are not of one experiment.
SAME = (
    "model",
    "recipe",
    "start",
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
    The mean of times is marked if one of them is. If a run diverged or is constant, the row says how many did.
    """
    same = (*SAME, "epoch") if same_epoch else SAME
    groups: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in rows:
        seeds = groups.setdefault(tuple(row[name] for name in same), {})
        before = seeds.get(row.seed)
        if before is None or row.pt.partition(")")[2] >= before.pt.partition(")")[2]:
            seeds[row.seed] = row
    return [_combine([seeds[seed] for seed in sorted(seeds, key=_number)]) for seeds in groups.values()]


def _combine(rows: list[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    figures: dict[str, float] = {}
    for name in dict.fromkeys(name for row in rows for name in row.figures):
        values = [row.figures[name] for row in rows if name in row.figures]
        if len(values) < len(rows):
            continue
        if name == "inference_cpu_share":
            figures[name] = min(values)
        else:
            figures[name] = values[0] if name in COUNTS else fmean(values)
        if name in STANDARD_DEVIATIONS:
            figures[STANDARD_DEVIATIONS[name]] = stdev(values)
    texts = {
        field.name: ", ".join(dict.fromkeys(str(row[field.name]) for row in rows))
        for field in dataclasses.fields(Row)
        if field.type == "str" and field.name not in (*SAME, "state")
    }
    states = [row.state for row in rows if row.state]
    state = ", ".join(f"{states.count(each)} of {len(rows)} {each}" for each in dict.fromkeys(states))
    return dataclasses.replace(
        rows[0],
        **{**texts, "pt": f"{len(rows)} runs", "state": state},
        epoch=max(row.epoch for row in rows),
        runs=len(rows),
        figures=figures,
    )


def _number(seed: str) -> tuple[int, str]:
    return (int(seed), seed) if seed.isdecimal() else (0, seed)
