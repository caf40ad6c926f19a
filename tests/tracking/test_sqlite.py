"""What is read from MLflow's tables directly is what MLflow itself says of them."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient
from support.full_run import write_run
from support.stores import store_in

from hmr_light.errors import UserError
from hmr_light.tracking import start_tracking
from hmr_light.tracking.records import CheckpointRecord, RunRecord
from hmr_light.tracking.replay import replay
from hmr_light.tracking.search import _read_experiment, read_experiment
from hmr_light.tracking.sqlite import read_store
from hmr_light.tracking.store import sqlite_path

Stored = tuple[list[RunRecord], list[CheckpointRecord]]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Runs with every kind of figure, one that was deleted, and one of another experiment."""
    folder = tmp_path_factory.mktemp("store")
    uri = store_in(folder)
    for seed in range(3):
        write_run(folder / f"run{seed}", seed)
    figures = {"mpjpe_mm": math.nan, "pve_mm": math.inf, "loss/total": -1e-300}
    for name, experiment in (("odd", "e"), ("other", "other")):
        with start_tracking(folder / name, experiment=experiment, uri=None, run_name=name) as tracker:
            tracker.metrics(figures, step=1)
            tracker.metrics({"loss/total": 2.0}, step=2)
            (folder / name / "a.pt").write_text(name)
            tracker.checkpoint(folder / name / "a.pt", epoch=1, saved="260101-000000", metrics=figures)
    sent = {path.parent.name: replay(path.parent, uri) for path in sorted(folder.glob("*/journal.jsonl"))}
    client = MlflowClient(uri)
    client.delete_run(sent["run1"].run_id)
    # What earlier versions sent: MLflow keeps a model's NaN as 0, and infinity as the largest number.
    run = client.get_run(sent["odd"].run_id)
    model_id = run.outputs.model_outputs[0].model_id
    for key, value in (("pve_mm", math.inf), ("mpjpe_mm", math.nan), ("old/mpjpe_mm", 0.0)):
        client.log_metric(run.info.run_id, key, value, step=1, timestamp=5000, model_id=model_id)
    return uri


def comparable(stored: Stored) -> tuple[list[str], list[str]]:
    """The runs in their order, the checkpoints and their figures in any."""
    runs, checkpoints = stored
    points = [sorted(map(repr, each.points)) for each in checkpoints]
    named = [
        (each.run_id, sorted(each.tags.items()), each_points)
        for each, each_points in zip(checkpoints, points, strict=True)
    ]
    return [repr((run, sorted(run.params), sorted(run.metrics))) for run in map(in_order, runs)], sorted(
        map(repr, named)
    )


def in_order(run: RunRecord) -> RunRecord:
    params, tags, metrics = (dict(sorted(part.items())) for part in (run.params, run.tags, run.metrics))
    return RunRecord(run.run_id, run.name, run.status, run.started_ms, params, tags, metrics)


@pytest.mark.parametrize("experiment", ["e", "other"])
def test_it_is_what_mlflow_says(uri: str, experiment: str) -> None:
    direct = read_store(sqlite_path(uri), experiment)
    assert direct is not None
    assert {run.name for run in direct[0]} == ({"run 0", "run 2", "odd"} if experiment == "e" else {"other"})
    assert comparable(direct) == comparable(_read_experiment(uri, experiment))
    assert comparable(direct) == comparable(read_experiment(uri, experiment))


def test_what_is_not_finite_is_never_read_as_a_figure(uri: str) -> None:
    for runs, checkpoints in (read_store(sqlite_path(uri), "e") or ([], []), _read_experiment(uri, "e")):
        (odd,) = (run for run in runs if run.name == "odd")
        assert odd.metrics == {"loss/total": 2.0, "old/mpjpe_mm": 0.0}
        (checkpoint,) = (one for one in checkpoints if one.run_id == odd.run_id)
        figures = sorted((point.name, point.value) for point in checkpoint.points)
        assert figures == [("loss/total", -1e-300), ("old/mpjpe_mm", 0.0)]


def test_what_is_not_finite_is_not_sent(uri: str) -> None:
    client = MlflowClient(uri)
    (odd,) = client.search_runs([client.get_experiment_by_name("e").experiment_id], "attributes.run_name = 'odd'")
    for key in ("mpjpe_mm", "pve_mm"):
        assert [point.timestamp for point in client.get_metric_history(odd.info.run_id, key)] == [5000]


def test_what_is_not_known_is_left_to_mlflow(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no experiment 'no such experiment'"):
        read_store(sqlite_path(uri), "no such experiment")
    assert read_store(tmp_path / "none.db", "e") is None
    (tmp_path / "text.db").write_text("no database")
    assert read_store(tmp_path / "text.db", "e") is None
    newer = tmp_path / "newer.db"
    newer.write_bytes(sqlite_path(uri).read_bytes())
    assert read_store(newer, "e") is not None
    with contextlib.closing(sqlite3.connect(newer)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'of-tomorrow'")
        database.commit()
    assert read_store(newer, "e") is None
