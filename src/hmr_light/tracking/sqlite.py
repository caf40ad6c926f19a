"""Reads an experiment straight from a SQLite store, for which MLflow need not be imported.

MLflow's tables are its own affair: only those whose revision is known here are read. Any other store is left to MLflow.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hmr_light.tracking.records import CheckpointRecord, Point, RunRecord, is_figure
from hmr_light.tracking.schema import REVISIONS, open_read_only, revision_of
from hmr_light.tracking.store import deleted_experiment, no_experiment

EXPERIMENTS = "SELECT name, experiment_id, lifecycle_stage FROM experiments WHERE workspace = 'default'"
RUNS = """
SELECT run_uuid, name, status, start_time FROM runs
WHERE experiment_id = ? AND lifecycle_stage = 'active' ORDER BY start_time, run_uuid
"""
OF_RUNS = "SELECT {} FROM {} JOIN runs USING (run_uuid) WHERE experiment_id = ? AND lifecycle_stage = 'active'"
MODELS = """
SELECT model_id, source_run_id FROM logged_models
WHERE experiment_id = ? AND lifecycle_stage = 'active' ORDER BY creation_timestamp_ms DESC, model_id
"""
MODEL_TAGS = "SELECT model_id, tag_key, tag_value FROM logged_model_tags WHERE experiment_id = ?"
# MLflow keeps the NaN of a model as 0; the run's own point says that it was none.
MODEL_METRICS = """
SELECT model_id, metric_name, metric_value, metric_timestamp_ms FROM logged_model_metrics AS of_model
WHERE experiment_id = ? AND NOT (metric_value = 0 AND EXISTS (
    SELECT 1 FROM metrics WHERE run_uuid = of_model.run_id AND key = metric_name AND is_nan
    AND step = metric_step AND timestamp = metric_timestamp_ms
))
"""


def read_store(path: Path, experiment: str) -> tuple[list[RunRecord], list[CheckpointRecord]] | None:
    """All runs (oldest first) and checkpoints of an experiment; None for what only MLflow can read or explain.

    Raises `UserError` if there is no such experiment, or it was deleted.
    """
    if not path.is_file():
        return None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(open_read_only(path)) as database:
        database.execute("BEGIN")  # one state of the store, whatever is written meanwhile
        if revision_of(database) not in REVISIONS:
            return None
        experiments = {name: (number, stage) for name, number, stage in database.execute(EXPERIMENTS)}
        number, stage = experiments.get(experiment, (0, ""))
        if not stage:
            raise no_experiment(experiment, [name for name, (_, stage) in experiments.items() if stage == "active"])
        if stage != "active":
            raise deleted_experiment(experiment, str(number), f"sqlite:///{path}")
        return _runs(database, number), _checkpoints(database, number)
    return None


def experiment_names(path: Path) -> list[str] | None:
    """The experiments of a store that are not deleted; None for what only MLflow can read."""
    if not path.is_file():
        return None
    with contextlib.suppress(sqlite3.Error), contextlib.closing(open_read_only(path)) as database:
        if revision_of(database) in REVISIONS:
            return [name for name, _, stage in database.execute(EXPERIMENTS) if stage == "active"]
    return None


def _runs(database: sqlite3.Connection, experiment: int) -> list[RunRecord]:
    params = _gather(database.execute(OF_RUNS.format("run_uuid, key, value", "params"), [experiment]))
    tags = _gather(database.execute(OF_RUNS.format("run_uuid, key, value", "tags"), [experiment]))
    latest = database.execute(
        OF_RUNS.format("run_uuid, key, value", "latest_metrics") + " AND NOT is_nan", [experiment]
    )
    figures = _gather(point for point in latest if is_figure(point[2]))
    return [
        RunRecord(run_id, name, status, started, params[run_id], tags[run_id], figures[run_id])
        for run_id, name, status, started in database.execute(RUNS, [experiment])
    ]


def _checkpoints(database: sqlite3.Connection, experiment: int) -> list[CheckpointRecord]:
    tags = _gather(database.execute(MODEL_TAGS, [experiment]))
    points: dict[str, list[Point]] = defaultdict(list)
    for model, name, value, time_ms in database.execute(MODEL_METRICS, [experiment]):
        if is_figure(value):
            points[model].append(Point(name, value, time_ms))
    return [
        CheckpointRecord(run_id, tags[model], points[model]) for model, run_id in database.execute(MODELS, [experiment])
    ]


def _gather(rows: Iterable[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    """By owner, the values by key."""
    values: dict[str, dict[str, Any]] = defaultdict(dict)
    for owner, key, value in rows:
        values[owner][key] = value
    return values
