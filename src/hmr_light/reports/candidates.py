"""Checkpoints of runs, with what was measured of them: from these the rows of the table are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hmr_light.tracking.records import (
    SELECTION,
    CheckpointRecord,
    Point,
    RunRecord,
    is_figure,
    is_part,
    selection_error,
)


@dataclass(frozen=True)
class Candidate:
    """A checkpoint that may become a row."""

    run: RunRecord
    tags: dict[str, str]
    latest: dict[str, Point]
    """By name: the newest measurement."""
    validation_mm: float
    """The error that the run itself measured (MPJPE; of 2D labels the reprojection error); infinite if it measured none
    that is finite."""

    @property
    def epoch(self) -> int:
        return int(self.tags.get("epoch", 0))

    @property
    def order(self) -> tuple[int, str, str]:
        """The later checkpoint is greater."""
        return (self.epoch, self.tags.get("saved", ""), self.run.run_id)


def make_candidate(run: RunRecord, checkpoint: CheckpointRecord) -> Candidate:
    """A checkpoint of `run` with its newest figures."""
    points = sorted(checkpoint.points, key=lambda point: (point.time_ms, point.name))
    latest = {point.name: point for point in points}
    measured: dict[str, float] = {}  # the first of each, which is the run's own
    for point in points:
        if point.name in SELECTION and finite(point.value) is not None:
            measured.setdefault(point.name, point.value)
    return Candidate(run, checkpoint.tags, latest, selection_error(measured))


def best_candidate(candidates: Sequence[Candidate]) -> Candidate:
    """The one with the lowest validation error; of equals the later, as the evaluation chooses it."""
    return min(sorted(candidates, key=lambda one: one.order, reverse=True), key=lambda one: one.validation_mm)


def evaluation_sets(candidates: Iterable[Candidate]) -> dict[str, int]:
    """How many candidates have errors on each evaluation set; the first is the one with most, of several the latest.

    Parts of sets come after all whole ones.
    """
    count: Counter[str] = Counter()
    newest: dict[str, int] = {}
    for candidate in candidates:
        for name, point in candidate.latest.items():
            where, _, metric = name.rpartition("/")
            if where and metric in SELECTION and finite(point.value) is not None:
                count[where] += 1
                newest[where] = max(newest.get(where, 0), point.time_ms)
    order = sorted(count, key=lambda where: (not is_part(where), count[where], newest[where], where), reverse=True)
    return {where: count[where] for where in order}


def finite(value: float | None) -> float | None:
    """`value` if it is a figure; None for what earlier versions have stored of one that is not finite."""
    return value if is_figure(value) else None
