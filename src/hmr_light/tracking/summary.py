"""What a run's journal says already, so that a continued run says nothing twice; and which checkpoints may go."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hmr_light.tracking.journal import FILE_NAME, read_journal


@dataclass
class RunSummary:
    """A journal's summary."""

    finished: bool = False
    described: bool = False
    """Whether everything that is known before the first step is there."""
    costs: bool = False
    fingerprint: str = ""
    """Of the annotations; empty where the journal does not say."""
    epochs: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The figures of each epoch that was evaluated."""
    checkpoints: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """The entries of each kept checkpoint, by epoch: the run's own, and one for each evaluation since."""

    @property
    def best_mm(self) -> float:
        """The lowest MPJPE so far; infinite if there is none."""
        return min(map(_mpjpe, self.epochs.values()), default=math.inf)


def summarize_run(folder: Path) -> RunSummary:
    """What the journal in a run's folder says; nothing, if there is none."""
    said = RunSummary()
    if not (folder / FILE_NAME).is_file():
        return said
    for entry, _ in read_journal(folder):
        match entry["kind"]:
            case "run" | "resume":
                said.finished = False
            case "status":
                said.finished = entry["status"] == "FINISHED"
            case "params":
                said.fingerprint = entry["values"].get("data.fingerprint", said.fingerprint)
            case "metrics" if "parameters" in entry["values"]:
                said.costs = True
            case "metrics" if "learning_rate" in entry["values"] or "mpjpe_mm" in entry["values"]:
                said.epochs.setdefault(entry["step"], entry["values"])
            case "checkpoint":
                said.checkpoints.setdefault(entry["step"], []).append(entry)
            case "artifact":
                said.described |= entry["path"] == "environment.txt"
    return said


def remove_old(folder: Path, keep: int) -> None:
    """Remove the files of checkpoints but the `keep` newest, the best, and those evaluated since they were written."""
    written = summarize_run(folder).checkpoints
    if not written:
        return
    best = min(sorted(written, reverse=True), key=lambda epoch: _mpjpe(written[epoch][0]["values"]))
    evaluated = {epoch for epoch, entries in written.items() if len(entries) > 1}
    for epoch in set(written) - set(sorted(written)[-keep:]) - evaluated - {best}:
        (folder / written[epoch][0]["path"]).unlink(missing_ok=True)


def _mpjpe(values: dict[str, Any]) -> float:
    value = float(values.get("mpjpe_mm", math.inf))
    return math.inf if math.isnan(value) else value
