"""The summary of a run's journal: a continued run logs nothing twice, and old checkpoints are removed by it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hmr_light.tracking.journal import FILE_NAME, read_journal
from hmr_light.tracking.records import selection_error, was_evaluated

STATE, DIVERGED, RECOVERED = "hmr_light.state", "diverged", "recovered"
"""A tag and its values: training has met a loss or an error that is not finite; it has gone on since."""

STEP_LOSS = "loss_by_step"
"""The loss of single steps; its step is the number of steps done, not of epochs."""
BEST = "best/"
"""Before the names of the figures of a run's best epoch, which is `best/epoch`."""


@dataclass
class RunSummary:
    """A journal's summary."""

    finished: bool = False
    described: bool = False
    """Whether everything that is known before the first step is there."""
    costs: bool = False
    params: dict[str, str] = field(default_factory=dict)
    """What the run was made with; what has changed since has its newest value."""
    tags: dict[str, str] = field(default_factory=dict)
    epochs: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The figures of each epoch that was evaluated."""
    logged_steps: int = 0
    """The last step whose own loss is logged."""
    best_of: int | None = None
    """Of how many epochs the best epoch's figures are logged."""
    checkpoints: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """The entries of each kept checkpoint, by epoch: the run's own, and one for each evaluation since."""

    @property
    def best_error(self) -> float:
        """The lowest error so far, of those that the best checkpoint is chosen by; infinite if there is none."""
        return min(map(selection_error, self.epochs.values()), default=math.inf)

    @property
    def diverged(self) -> bool:
        """Whether training ended with a loss or an error that is not finite."""
        return self.tags.get(STATE) == DIVERGED


def summarize_run(run_dir: Path) -> RunSummary:
    """The summary of the journal in `run_dir`; an empty one, if there is no journal."""
    summary = RunSummary()
    if not (run_dir / FILE_NAME).is_file():
        return summary
    for entry, _ in read_journal(run_dir):
        match entry["kind"]:
            case "run" | "resume":
                summary.finished = False
            case "status":
                summary.finished = entry["status"] == "FINISHED"
            case "params":
                summary.params |= entry["values"]
            case "tags":
                summary.tags |= entry["values"]
            case "metrics" if STEP_LOSS in entry["values"]:
                summary.logged_steps = max(summary.logged_steps, entry["step"])
            case "metrics" if f"{BEST}epoch" in entry["values"]:
                summary.best_of = entry["step"]
            case "metrics" if "parameters" in entry["values"]:
                summary.costs = True
            case "metrics" if "learning_rate" in entry["values"] or was_evaluated(entry["values"]):
                summary.epochs.setdefault(entry["step"], entry["values"])
            case "checkpoint":
                summary.checkpoints.setdefault(entry["step"], []).append(entry)
            case "artifact":
                summary.described |= entry["path"] == "environment.txt"
    return summary


def best_checkpoint(summary: RunSummary) -> dict[str, Any] | None:
    """The entry of the checkpoint with the lowest error, of equals the latest; of a run that has none, the last one.

    The error is the MPJPE, of 2D labels the reprojection error. None if there is no checkpoint, or if no error of the
    run is finite.
    """
    written = summary.checkpoints
    if not written:
        return None
    best = min(sorted(written, reverse=True), key=lambda epoch: selection_error(written[epoch][0]["values"]))
    entry: dict[str, Any] = written[best][0]
    return entry if math.isfinite(selection_error(entry["values"])) or not was_evaluated(entry["values"]) else None


def remove_old(run_dir: Path, keep: int) -> None:
    """Remove the files of checkpoints but the `keep` newest, the best, and those evaluated since they were written."""
    summary = summarize_run(run_dir)
    written = summary.checkpoints
    best = best_checkpoint(summary)
    kept = set(sorted(written)[-keep:]) | {epoch for epoch, entries in written.items() if len(entries) > 1}
    for epoch in written.keys() - kept - ({best["step"]} if best else set()):
        (run_dir / written[epoch][0]["path"]).unlink(missing_ok=True)
