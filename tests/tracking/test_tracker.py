"""What a run tells its tracker is in MLflow when the run has ended, under the names that the design gives."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hmr_light.errors import Interrupted, UserError
from hmr_light.tracking import continue_tracking, find_run_dir, start_tracking
from hmr_light.tracking.journal import FILE_NAME, read_journal
from hmr_light.tracking.replay import replay
from hmr_light.tracking.store import connect, default_uri

RUNS = 4


def last_entry(run_dir: Path) -> dict[str, object]:
    return [entry for entry, _ in read_journal(run_dir)][-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs that began at once on a store that was not there; the first was continued and evaluated since."""
    folder = tmp_path_factory.mktemp("four_runs")
    uri = default_uri(folder)
    trackers = []
    for number in range(RUNS):
        run_dir = folder / f"run{number}"
        run_dir.mkdir()
        trackers.append(
            start_tracking(run_dir, experiment="Versuch 실험", uri=uri, run_name=f"row{number} 260101-00000")
        )
    for number, tracker in enumerate(trackers):
        tracker.params({"backbone": {"name": "resnet50", "empty": {}}, "seed": number, "long": "y" * 7000})
        tracker.tags({"hmr_light.row": f"row{number}"})
        tracker.metrics({"parameters": 10 + number}, step=0)
        for epoch in (1, 2):
            path = tracker.run_dir / f"epoch-{epoch:03d}.pt"
            path.write_bytes(f"weights {number} {epoch}".encode())
            figures = {"mpjpe_mm": 100.0 / epoch, "val/mpjpe_mm": 100.0 / epoch}
            tracker.metrics(figures | {"loss/total": 1.0 / epoch}, step=epoch)
            tracker.checkpoint(path, epoch=epoch, saved=f"260101-00000{epoch}", metrics=figures)
        tracker.artifact(path, "checkpoints")
    assert [tracker.finish() for tracker in trackers] == [0] * RUNS

    first = folder / "run0"
    with start_tracking(first, experiment="another", uri=uri, run_name="another") as tracker:
        tracker.metrics({"loss/total": 0.25}, step=3)
    with continue_tracking(first, uri=None) as tracker:
        figures = {"test/mpjpe_mm": 77.0}
        tracker.metrics(figures, step=2)
        tracker.checkpoint(first / "epoch-002.pt", epoch=2, saved="260101-000002", metrics=figures)
    assert last_entry(first)["kind"] == "checkpoint", "an evaluation says nothing on how the run ended"
    replay(first, uri)
    return folder


def test_runs_that_begin_at_once_on_a_new_store_are_all_there(folder: Path) -> None:
    client = connect(default_uri(folder), create=False)
    experiment = client.get_experiment_by_name("Versuch 실험")
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.run_name for run in runs} == {f"row{number} 260101-00000" for number in range(RUNS)}
    assert {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        number = int(run.data.params["seed"])
        assert run.data.tags["hmr_light.row"] == f"row{number}"
        assert run.data.tags["hmr_light.run_dir"] == str(folder / f"run{number}")
        assert run.data.metrics["parameters"] == 10 + number
        assert run.data.params["backbone.name"] == "resnet50"
        long = run.data.params["long"]
        assert len(long) == 6000
        assert long.endswith("[cut: 7000 characters; the whole is in the run's journal]")
        assert [each.path for each in client.list_artifacts(run.info.run_id, "checkpoints")] == [
            "checkpoints/epoch-002.pt"
        ]
        assert run.info.artifact_uri.startswith(folder.as_uri()), "artifacts lie beside the store, wherever one works"


def test_each_checkpoint_is_a_model_with_its_file_and_figures(folder: Path) -> None:
    client = connect(default_uri(folder), create=False)
    experiment = client.get_experiment_by_name("Versuch 실험")
    models = client.search_logged_models([experiment.experiment_id], max_results=100)
    assert len(models) == 2 * RUNS
    for model in models:
        path = Path(model.tags["path"])
        epoch = int(model.tags["epoch"])
        assert model.tags["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert model.tags["saved"] == f"260101-00000{epoch}"
        assert str(model.status) == "READY"
        figures = {metric.key: metric.value for metric in model.metrics}
        expected = {"mpjpe_mm": 100.0 / epoch, "val/mpjpe_mm": 100.0 / epoch}
        if path.parent.name == "run0" and epoch == 2:
            expected["test/mpjpe_mm"] = 77.0
        assert figures == expected
        outputs = client.get_run(model.source_run_id).outputs.model_outputs
        assert model.model_id in {output.model_id for output in outputs}


def test_a_continued_run_is_the_same_run_without_duplicates(folder: Path) -> None:
    client = connect(default_uri(folder), create=False)
    run_id = json.loads((folder / "run0" / "mlflow.json").read_text())["run_id"]
    assert client.get_experiment_by_name("another") is None
    loss = client.get_metric_history(run_id, "loss/total")
    assert [(point.step, point.value) for point in loss] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    mpjpe = client.get_metric_history(run_id, "mpjpe_mm")
    assert [(point.step, point.value) for point in mpjpe] == [(1, 100.0), (2, 50.0)], "linked to a model, stored once"
    assert len(client.get_metric_history(run_id, "test/mpjpe_mm")) == 1
    assert find_run_dir(run_id, default_uri(folder)) == folder / "run0"


def test_an_unknown_run_is_the_users_error(folder: Path) -> None:
    with pytest.raises(UserError, match="there is no run 0123"):
        find_run_dir("0123456789abcdef0123456789abcdef", default_uri(folder))


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (ValueError("bad"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (Interrupted("t"), "KILLED")],
)
def test_how_a_run_ended_is_noted(tmp_path: Path, error: BaseException | None, status: str) -> None:
    def run() -> None:
        with start_tracking(tmp_path / "run", experiment="e", uri=None, run_name="r") as tracker:
            tracker.metrics({"a": 1}, step=1)
            if error:
                raise error

    if error:
        with pytest.raises(type(error)):
            run()
    else:
        run()
    entry = last_entry(tmp_path / "run")
    assert (entry["kind"], entry["status"]) == ("status", status)
    assert type(error).__name__ in str(entry["error"]) or error is None
    assert [path.name for path in (tmp_path / "run").iterdir()] == [FILE_NAME], "no store, no other files"


KILLED = """
import os, signal, sys
from pathlib import Path
from hmr_light.tracking import start_tracking
tracker = start_tracking(Path(sys.argv[1]), experiment="e", uri=sys.argv[2], run_name="killed")
tracker.metrics({"loss/total": 1.5}, step=7)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_end_of_a_killed_run_is_noted_and_its_figures_arrive(folder: Path) -> None:
    run_dir, uri = folder / "killed", default_uri(folder)
    run_dir.mkdir()
    process = subprocess.run([sys.executable, "-c", KILLED, str(run_dir), uri], check=False)
    assert process.returncode == -signal.SIGKILL
    client = connect(uri, create=False)
    end = time.monotonic() + 300  # a busy machine imports MLflow for minutes
    run = None
    while time.monotonic() < end and (run is None or run.info.status != "KILLED"):
        time.sleep(0.5)
        experiment = client.get_experiment_by_name("e")
        runs = client.search_runs([experiment.experiment_id]) if experiment else []
        run = runs[0] if runs else None
    assert run is not None
    assert run.info.status == "KILLED"
    assert run.data.metrics == {"loss/total": 1.5}


def test_an_unreachable_server_delays_nothing_and_its_password_is_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    password = "s3cret-" + os.urandom(4).hex()
    uri = f"http://someone:{password}@127.0.0.1:9/"  # nothing listens on the discard port
    started = time.perf_counter()
    tracker = start_tracking(tmp_path, experiment="e", uri=uri, run_name="r")
    for step in range(200):
        tracker.metrics({"loss/total": 1.0}, step=step)
    told = time.perf_counter() - started
    # A request for each of them, and its tries again, would take minutes; this takes some 10 ms on a quiet machine.
    assert told < 10, f"telling the tracker took {told:.2f} s"
    left = tracker.finish()
    assert left == 202
    said = capfd.readouterr().err
    assert said.count("does not answer") == 1
    assert "figures wait in" in said
    assert f"hmr-light sync run_dir={tmp_path} tracking.uri=http://127.0.0.1:9/" in said
    for text in [said, *(path.read_text() for path in tmp_path.iterdir())]:
        assert password not in text
        assert "someone" not in text


def test_a_call_of_the_tracker_costs_microseconds(tmp_path: Path) -> None:
    with start_tracking(tmp_path, experiment="e", uri=None, run_name="r") as tracker:
        figures = {f"loss/{number}": 0.1 * number for number in range(8)}
        costs = []
        for step in range(1000):
            started = time.perf_counter()
            tracker.metrics(figures, step=step)
            costs.append(time.perf_counter() - started)
    median = sorted(costs)[500]
    # One percent of a fast step of 50 ms; measured: some 30 µs.
    assert median < 0.0005, f"{median * 1e6:.0f} µs"
