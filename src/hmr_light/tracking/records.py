"""Runs and checkpoints as a store has them, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class RunRecord:
    """A run; `metrics` are the latest values."""

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
    """A checkpoint of a run with every figure that was ever measured of it."""

    run_id: str
    tags: dict[str, str]
    points: list[Point]
