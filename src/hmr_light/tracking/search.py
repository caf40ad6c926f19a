"""Runs and checkpoints as MLflow has them, as plain values; what the reports are made from."""

from __future__ import annotations

import contextlib
import gc
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmr_light.errors import UserError
from hmr_light.paths import as_text, where_now
from hmr_light.tracking import sqlite
from hmr_light.tracking.journal import run_key
from hmr_light.tracking.mlflow_writer import RUN_DIR, RUN_KEY
from hmr_light.tracking.records import CheckpointRecord, Point, RunRecord, is_figure, with_changes, with_primary_set
from hmr_light.tracking.sqlite import read_store
from hmr_light.tracking.store import (
    connect,
    deleted_experiment,
    no_experiment,
    normal_uri,
    refusal,
    sqlite_path,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE = 1000


def read_experiment(uri: str, experiment: str) -> tuple[list[RunRecord], list[CheckpointRecord]]:
    """All runs (oldest first) and checkpoints of an experiment.

    Raises `UserError` if the store is missing or does not answer, or has no such experiment.
    """
    uri = normal_uri(uri)
    with _without_collection():
        found = read_store(sqlite_path(uri), experiment) if uri.startswith("sqlite:") else None
        runs, checkpoints = found or _read_experiment(uri, experiment)
        return with_primary_set(list(map(with_changes, runs)), checkpoints)


def experiment_names(uri: str) -> list[str]:
    """The experiments of a store by name, less MLflow's own `Default`. Raises `UserError` if it cannot be read."""
    uri = normal_uri(uri)
    names = sqlite.experiment_names(sqlite_path(uri)) if uri.startswith("sqlite:") else None
    if names is None:
        client = connect(uri, create=False)
        from mlflow.exceptions import MlflowException

        try:
            names = [each.name for each in client.search_experiments()]
        except MlflowException as error:
            raise refusal(error, uri) from error
    return sorted(name for name in names if name != "Default")


def _read_experiment(uri: str, experiment: str) -> tuple[list[RunRecord], list[CheckpointRecord]]:
    client = connect(uri, create=False)
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_experiment_by_name(experiment)
        if found is None:
            raise no_experiment(experiment, [each.name for each in client.search_experiments()])
        if found.lifecycle_stage == "deleted":
            raise deleted_experiment(experiment, found.experiment_id, uri)
        ids = [found.experiment_id]
        runs = _pages(
            lambda token: client.search_runs(
                ids, order_by=["attributes.start_time ASC"], max_results=PAGE, page_token=token
            )
        )
        models = _pages(lambda token: client.search_logged_models(ids, max_results=PAGE, page_token=token))
        return [_run(run) for run in runs], [_checkpoint(model, client) for model in models]
    except MlflowException as error:
        raise refusal(error, uri) from error


def run_dir_of(run_id: str, uri: str) -> Path:
    """The folder of the MLflow run `run_id`. Raises `UserError` if there is no such run, or its folder is not here."""
    uri = normal_uri(uri)
    client = connect(uri, create=False)
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise UserError(f"there is no run {run_id}", "Name a run's folder, or its MLflow run id.") from error
        raise refusal(error, uri) from error
    written = run.data.tags.get(RUN_DIR, "")
    folder = where_now(written)
    is_it = folder.is_dir() and (as_text(folder) == written or run_key(folder) == run.data.tags.get(RUN_KEY))
    if not written or not is_it:
        raise UserError(
            f"the folder of run {run_id} is not here: {written or 'it has none'}",
            "Name a run's folder on this machine.",
        )
    return folder


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    # MLflow's store makes a million small objects; looking through them for cycles takes longer than all the rest.
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _pages(search: Callable[[str | None], Any]) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = search(token)
        found += page
        token = page.token
        if not token:
            return found


def _run(run: Any) -> RunRecord:
    return RunRecord(
        run.info.run_id,
        run.info.run_name,
        run.info.status,
        run.info.start_time,
        run.data.params,
        run.data.tags,
        {key: value for key, value in run.data.metrics.items() if is_figure(value)},
    )


def _checkpoint(model: Any, client: MlflowClient) -> CheckpointRecord:
    points = [
        Point(metric.key, metric.value, metric.timestamp)
        for metric in model.metrics or []
        if is_figure(metric.value) and not (metric.value == 0 and _was_nan(metric, client))
    ]
    return CheckpointRecord(model.source_run_id, dict(model.tags), points)


def _was_nan(metric: Any, client: MlflowClient) -> bool:
    """Whether a model's 0 is the NaN that MLflow made it from; the run's own point has kept it."""
    return any(
        math.isnan(point.value) and (point.step, point.timestamp) == (metric.step, metric.timestamp)
        for point in client.get_metric_history(metric.run_id, metric.key)
    )
