"""Inference times of runs: which checkpoints of an experiment are measured, and how the times go to their runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from hmr_light.checkpoints.exported import ExportedModel
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.config.schema import TrackingConfig
from hmr_light.cost.benchmark import Measured
from hmr_light.cost.share import replaces
from hmr_light.cost.variants import EAGER
from hmr_light.errors import UserError
from hmr_light.paths import where_now
from hmr_light.reports.rows import read_rows
from hmr_light.tracking import continue_tracking
from hmr_light.tracking.journal import has_journal, read_journal
from hmr_light.training.provenance import file_sha256

HEADLINE = ("inference_time_s", "inference_cpu_share")


def models_of(tracking: TrackingConfig) -> list[str]:
    """The best checkpoint of every run of the experiment. Raises `UserError` if none of them is here."""
    if not tracking.uri:
        raise UserError("tracking.uri is null: there is no store to read", "Choose tracking=local or tracking=server.")
    rows = read_rows(tracking.uri, tracking.experiment, "best")
    found = []
    for row in rows:
        path = where_now(row.checkpoint)
        if not path.is_file():
            print(f"{row.model} {row.pt} is left out: its checkpoint is not here: {path}", file=sys.stderr)
        elif str(path) != row.checkpoint and file_sha256(path) != row.sha256:
            print(f"{row.model} {row.pt} is left out: {path} is another file: its hash differs", file=sys.stderr)
        else:
            found.append(str(path))
    if not found:
        raise UserError(
            f"no checkpoint of the experiment '{tracking.experiment}' is here", "Run this where they were trained."
        )
    return found


def log_times(
    checkpoint: Checkpoint | ExportedModel, measured: Sequence[Measured], device: torch.device, uri: str | None
) -> None:
    """Add the times of a checkpoint to its run, if the run's folder is still there.

    A time that other processes made longer never replaces a better one, and the user is told so.
    """
    if not has_journal(checkpoint.run_dir):
        return
    figures: dict[str, float] = {}
    tags: dict[str, str] = {}
    kept = set()
    for entry, latency, ratio in measured:
        variant = entry.variant.replace("+", "-")
        prefix = f"benchmark/{device.type}/{variant}/batch_{latency.batch}/threads_{latency.threads}"
        names = (f"{prefix}/median_s", f"{prefix}/cpu_share")
        if _may_replace(checkpoint.run_dir, names, latency.cpu_share):
            figures |= {names[0]: latency.median_s, f"{prefix}/p95_s": latency.p95_s, f"{prefix}/ratio": ratio.median}
            figures[f"{prefix}/yardstick_ratio"] = latency.ratio
            if latency.cpu_share is not None:
                figures[names[1]] = latency.cpu_share
        else:
            kept.add(entry.model)
        is_headline = entry.variant == EAGER or isinstance(checkpoint, ExportedModel)
        if is_headline and latency.batch == latency.threads == 1:
            # What training measured by itself, and the table shows.
            if _may_replace(checkpoint.run_dir, HEADLINE, latency.cpu_share):
                figures |= latency.figures()
                tags = latency.tags()
            else:
                kept.add(entry.model)
    for model in kept:
        print(f"{model}: its run keeps the time that was measured with more of a core", file=sys.stderr)
    if figures:
        with continue_tracking(checkpoint.run_dir, uri=uri) as tracker:
            if tags:
                tracker.tags(tags)
            tracker.metrics(figures, step=checkpoint.epoch)
            tracker.checkpoint(checkpoint.path, epoch=checkpoint.epoch, saved=checkpoint.saved, metrics=figures)


def _may_replace(run_dir: Path, names: tuple[str, str], share: float | None) -> bool:
    """Whether the run has no such time yet, or one that a time measured with `share` of a core may replace."""
    time_name, share_name = names
    said = [entry["values"] for entry, _ in read_journal(run_dir) if entry["kind"] == "metrics"]
    known = [values.get(share_name) for values in said if time_name in values]
    return not known or replaces(share, known[-1])
