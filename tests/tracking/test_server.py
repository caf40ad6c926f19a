"""A real MLflow server on loopback that is absent, comes, and goes while a run goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Command
from support.ports import free_port
from support.stores import store_in

from hmr_light.tracking import start_tracking
from hmr_light.tracking.replay import replay
from hmr_light.tracking.store import connect, default_uri


@pytest.fixture
def port(home: Path) -> int:
    """A free port, beside a home with an empty store."""
    store_in(home)
    return free_port()


@pytest.fixture
def ui(home: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """`hmr-light ui`, which is starting."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hmr_light", "ui", f"port={port}"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HMR_LIGHT_HOME": str(home)},
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow  # test_uploader.py has the like of it, with one server for all
def test_a_server_that_comes_late_and_goes_early_misses_nothing(
    home: Path, port: int, ui: subprocess.Popen[str], capfd: pytest.CaptureFixture[str]
) -> None:
    run_dir, uri = home / "run", f"http://127.0.0.1:{port}"
    tracker = start_tracking(run_dir, experiment="e", uri=uri, run_name="r")
    tracker.metrics({"loss/total": 0.0}, step=0)
    assert ui.stdout is not None
    address = ui.stdout.readline()
    assert f"MLflow is at {uri} " in address, "there is no experiment yet"
    end = time.monotonic() + 300
    client = connect(uri, create=False)
    while client.get_experiment_by_name("e") is None and time.monotonic() < end:
        time.sleep(0.2)
    tracker.metrics({"loss/total": 1.0}, step=1)
    ui.send_signal(signal.SIGTERM)
    assert ui.wait(300) == 128 + signal.SIGTERM
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the server is left running"
    tracker.metrics({"loss/total": 2.0}, step=2)
    left = tracker.finish()
    said = capfd.readouterr().err
    assert left > 0
    assert f"hmr-light sync run_dir={run_dir} tracking.uri={uri}" in said
    # The store has another address now; the run is the same.
    assert replay(run_dir, default_uri(home)).refused == []
    client = connect(default_uri(home), create=False)
    (run,) = client.search_runs([client.get_experiment_by_name("e").experiment_id])
    points = client.get_metric_history(run.info.run_id, "loss/total")
    assert [(point.step, point.value) for point in points] == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert run.info.status == "FINISHED"


def test_a_port_that_is_taken_is_told_at_once(hmr_light: Command, port: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        result = hmr_light("ui", f"port={port}")
    assert result.returncode == 2
    assert f"port {port} cannot be used" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ui"], "there is no tracking store at"),
        (["table"], "there is no tracking store at"),
        (["ui", "tracking.uri=http://localhost:5000"], "is a server already"),
        (["table", "tracking=journal"], "there is no store to read"),
        (["sync", "run_dir=.", "tracking=journal"], "there is no store to send to"),
        (["sync", "run_dir=."], "has no journal.jsonl"),
        (["table", "tracking.uri=mlruns"], "is not a tracking store"),
    ],
)
def test_a_store_that_is_not_there_is_told_at_once(
    hmr_light: Command, home: Path, arguments: list[str], says: str
) -> None:
    result = hmr_light(*arguments, timeout=120)
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert list(home.iterdir()) == []


def test_an_unreachable_server_is_told_without_the_password_and_not_waited_for(hmr_light: Command) -> None:
    result = hmr_light("table", f"tracking.uri=http://someone:s3cret@127.0.0.1:{free_port()}", timeout=120)
    assert result.returncode == 2
    assert "does not answer (Connection refused)" in result.stderr
    assert "s3cret" not in result.stderr + result.stdout
