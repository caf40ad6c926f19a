"""Runs and checkpoints as a store has them, as plain values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

PRIMARY_SET = "hmr_light.primary_set"
"""The tag of a run that names the evaluation set whose figures have no name of a set before them."""

CHANGED = "hmr_light.changed."
"""Before the name of a parameter that a continued run has changed: a tag with the new value."""

SELECTION = ("mpjpe_mm", "error_2d_percent")
"""What a run's best checkpoint is chosen by: the lowest of the first that it has."""

SPREADS = ("spread_mm", "spread_labels_mm")
"""How much a model's joints vary over the images, and how much those of the labels do; see `MetricSums.spread`."""

CONSTANT_SHARE = 0.05
"""A model whose joints vary over the images by less than this share of what the labels do has learned a constant.

Measured on the demo's checkpoints (`scripts/demo.sh`): MobileNetV2 had 0.2, 3.7, 9.9 and 19 % after its epochs, and its
error fell only with the third; ResNet-18 had 23 % after its first epoch and 53 % after its last.
"""

_PART = re.compile(r"(?P<whole>.+)-first-\d+(?P<protocol>:.*)?")

# MLflow keeps infinity as the largest number of double precision.
_INFINITE = 1.7e308


@dataclass(frozen=True)
class RunRecord:
    """A run; `metrics` are the latest values, all of them finite."""

    run_id: str
    name: str
    status: str
    started_ms: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: dict[str, float]


class Point(NamedTuple):
    """A figure of a checkpoint."""

    name: str
    value: float
    time_ms: int


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint of a run with every finite figure that was ever measured of it."""

    run_id: str
    tags: dict[str, str]
    points: list[Point]


def is_figure(value: float | None) -> bool:
    """Whether a stored value is a figure: runs of earlier versions have NaN and infinity in their stores."""
    return value is not None and math.isfinite(value) and abs(value) < _INFINITE


def is_error(name: str) -> bool:
    """Whether a figure of that name, without a set's name, is an error or a score on an evaluation set."""
    return name.endswith(("_mm", "_percent")) and "/" not in name


def selection_error(values: Mapping[str, Any]) -> float:
    """The error by which the best checkpoint of a run is chosen; infinite if there is none, or none that is finite."""
    value = next((float(values[name]) for name in SELECTION if name in values), math.inf)
    return value if math.isfinite(value) else math.inf


def is_constant(values: Mapping[str, Any]) -> bool:
    """Whether a model of these figures predicts nearly the same for every image, as far as they tell."""
    if any(values.get(name) is None for name in SPREADS):
        return False
    spread, labels = (float(values[name]) for name in SPREADS)
    return spread < CONSTANT_SHARE * labels


def was_evaluated(values: Mapping[str, Any]) -> bool:
    """Whether an error to choose by was measured, finite or not."""
    return any(name in values for name in SELECTION)


def part_name(name: str, people: int) -> str:
    """What the first `people` of the evaluation set `name` are called: their figures are not those of the whole set."""
    return f"{name}-first-{people}"


def is_part(name: str) -> bool:
    """Whether an evaluation set is the first people of one; a protocol may follow the name."""
    return _PART.fullmatch(name) is not None


def whole_set(name: str) -> str:
    """The name of the set that `name` is a part of, without a protocol; `name` itself if it is whole."""
    found = _PART.fullmatch(name)
    return found["whole"] if found else name.partition(":")[0]


def with_changes(run: RunRecord) -> RunRecord:
    """The run with the newest value of each parameter: MLflow keeps the first one, and later ones as tags."""
    changed = {key.removeprefix(CHANGED): value for key, value in run.tags.items() if key.startswith(CHANGED)}
    return replace(run, params=run.params | changed) if changed else run


def with_primary_set(
    runs: list[RunRecord], checkpoints: list[CheckpointRecord]
) -> tuple[list[RunRecord], list[CheckpointRecord]]:
    """The same with the figures on a run's primary set under both of their names, as the journal has them.

    MLflow has each figure once: `mpjpe_mm`, and not `synthetic/mpjpe_mm` beside it.
    """
    sets = {run.run_id: run.tags[PRIMARY_SET] for run in runs if run.tags.get(PRIMARY_SET)}
    whole_runs = [
        replace(run, metrics=_named(run.metrics, sets[run.run_id]) | run.metrics) if run.run_id in sets else run
        for run in runs
    ]
    whole_checkpoints = []
    for one in checkpoints:
        place = sets.get(one.run_id)
        more = [point._replace(name=f"{place}/{point.name}") for point in one.points if place and is_error(point.name)]
        whole_checkpoints.append(replace(one, points=[*one.points, *more]))
    return whole_runs, whole_checkpoints


def _named(metrics: dict[str, float], place: str) -> dict[str, float]:
    return {f"{place}/{name}": value for name, value in metrics.items() if is_error(name)}
