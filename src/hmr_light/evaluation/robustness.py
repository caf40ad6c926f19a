"""How errors grow with boxes that are not tight: detectors' are larger than annotators', and off their centres."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.evaluation.metrics import MetricSums
from hmr_light.evaluation.protocols import Scorer
from hmr_light.evaluation.scoring import Predictor, score


@dataclass(frozen=True)
class BoxChange:
    """What is done to every person's box: its side times `scale`, its centre moved by shares of the side."""

    scale: float = 1.0
    right: float = 0.0
    down: float = 0.0

    def __str__(self) -> str:
        parts = [f"{100 * self.right:+g} % right"] * bool(self.right) + [f"{100 * self.down:+g} % down"] * bool(
            self.down
        )
        return ", ".join([f"{self.scale:g} ×", *parts])


@dataclass(frozen=True)
class Measured:
    """The pooled errors with boxes changed so."""

    change: BoxChange
    sums: MetricSums


def box_changes(scales: Sequence[float], shifts: Sequence[float]) -> list[BoxChange]:
    """One thing at a time: every scale, and every shift to the right and down; the box as it is comes first, once."""
    changes = [BoxChange(scale=scale) for scale in sorted(scales)]
    changes += [BoxChange(right=shift) for shift in sorted(shifts)] + [
        BoxChange(down=shift) for shift in sorted(shifts)
    ]
    return list(dict.fromkeys([BoxChange(), *changes]))


def measure_robustness(
    predictor: Predictor,
    dataset: MeshDataset,
    changes: Sequence[BoxChange],
    scorer: Scorer,
    distributed: Distributed,
    *,
    batch_size: int,
    workers: int = 0,
    on_batch: Callable[[int], None] = lambda images: None,
) -> list[Measured]:
    """The errors of `predictor` on `dataset` with each of `changes` done to every box."""
    measured = []
    for change in changes:
        sums = score(
            {"": predictor},
            with_boxes(dataset, change),
            scorer.for_boxes(change.scale),
            distributed,
            batch_size=batch_size,
            workers=workers,
            on_batch=on_batch,
        )
        measured.append(Measured(change, sums[""]))
    return measured


def with_boxes(dataset: MeshDataset, change: BoxChange) -> MeshDataset:
    """`dataset` with every box changed; the labels stay."""
    labels, changed = dataset.annotations, copy.copy(dataset)
    offset = 200 * np.asarray(labels.scale)[:, None] * np.array([change.right, change.down], np.float32)
    changed.annotations = replace(labels, center=labels.center + offset, scale=labels.scale * np.float32(change.scale))
    return changed
