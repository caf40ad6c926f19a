"""Reads an experiment straight from a SQLite store, for which MLflow need not be imported.

MLflow's tables are its own affair: only those whose revision is known here are read. Any other store is left to MLflow.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hmr_light.tracking.records import CheckpointRecord, Point, RunRecord

REVISIONS = ("dc11669786a5",)
"""Of the tables, as MLflow's migrations name them: 3.17."""

EXPERIMENT = """
SELECT experiment_id FROM experiments WHERE name = ? AND lifecycle_stage = 'active' AND workspace = 'default'
"""
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
MODEL_METRICS = """
SELECT model_id, metric_name, metric_value, metric_timestamp_ms FROM logged_model_metrics WHERE experiment_id = ?
"""


def read_store(path: Path, experiment: str) -> tuple[list[RunRecord], list[CheckpointRecord]] | None:
    """All runs (oldest first) and checkpoints of an experiment; None for what only MLflow can read or explain."""
    if not path.is_file():
        return None
    with contextlib.suppress(sqlite3.Error):
        address = f"file:{quote(str(path))}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=10)) as database:
            database.execute("BEGIN")  # one state of the store, whatever is written meanwhile
            revisions = database.execute("SELECT version_num FROM alembic_version").fetchall()
            if len(revisions) != 1 or revisions[0][0] not in REVISIONS:
                return None
            found = database.execute(EXPERIMENT, [experiment]).fetchone()
            return (_runs(database, found[0]), _checkpoints(database, found[0])) if found else None
    return None


def _runs(database: sqlite3.Connection, experiment: int) -> list[RunRecord]:
    params = _gather(database.execute(OF_RUNS.format("run_uuid, key, value", "params"), [experiment]))
    tags = _gather(database.execute(OF_RUNS.format("run_uuid, key, value", "tags"), [experiment]))
    columns = "run_uuid, key, CASE WHEN is_nan THEN NULL ELSE value END"
    figures = _gather(database.execute(OF_RUNS.format(columns, "latest_metrics"), [experiment]))
    return [
        RunRecord(
            run_id, name, status, started, params[run_id], tags[run_id],
            {key: math.nan if value is None else value for key, value in figures[run_id].items()},
        )
        for run_id, name, status, started in database.execute(RUNS, [experiment])
    ]  # fmt: skip


def _checkpoints(database: sqlite3.Connection, experiment: int) -> list[CheckpointRecord]:
    tags = _gather(database.execute(MODEL_TAGS, [experiment]))
    points: dict[str, list[Point]] = defaultdict(list)
    for model, name, value, time_ms in database.execute(MODEL_METRICS, [experiment]):
        points[model].append(Point(name, math.nan if value is None else value, time_ms))
    return [
        CheckpointRecord(run_id, tags[model], points[model]) for model, run_id in database.execute(MODELS, [experiment])
    ]


def _gather(rows: Iterable[tuple[str, str, Any]]) -> dict[str, dict[str, Any]]:
    """By owner, the values by key."""
    values: dict[str, dict[str, Any]] = defaultdict(dict)
    for owner, key, value in rows:
        values[owner][key] = value
    return values
