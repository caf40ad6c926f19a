"""Runs and checkpoints as a store has them, as plain values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

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
