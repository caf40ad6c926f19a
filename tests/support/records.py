"""Runs and checkpoints as a store has them."""

from __future__ import annotations

from typing import Any

from hmr_light.tracking.records import CheckpointRecord, Point, RunRecord


def run(run_id: str, row: str = "m", started: int = 0, **metrics: float) -> RunRecord:
    tags = {"hmr_light.row": row, "hmr_light.git_commit": "c" * 40, "hmr_light.protocol": "3dpw-j14"}
    return RunRecord(run_id, f"{row} 260101-000000", "FINISHED", started, {"seed": "3"}, tags, metrics)


def checkpoint(
    run_id: str, epoch: int, time: int = 1, saved: str = "260101-000000", **figures: Any
) -> CheckpointRecord:
    """`val=90.0` is the headline figure that the run measured; other names are sets evaluated later."""
    points = []
    for position, (name, mpjpe) in enumerate(figures.items()):
        values = {"mpjpe_mm": mpjpe, "reconstruction_error_mm": mpjpe / 2, "pve_mm": mpjpe * 2}
        for metric, value in values.items():
            points.append(Point(f"{name}/{metric}", value, time + position))
            if name == "val":
                points.append(Point(metric, value, time))
    tags = {"epoch": str(epoch), "saved": saved, "path": f"/runs/{run_id}/{epoch}.pt", "sha256": f"{epoch:064x}"}
    return CheckpointRecord(run_id, tags, points)
