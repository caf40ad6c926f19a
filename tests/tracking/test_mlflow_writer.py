"""Eight runs that begin at once on a store that is still empty: every one is there, whole and once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.full_run import contents
from support.ports import free_port
from support.postgres import open_postgres

from hmr_light.paths import without_secret
from hmr_light.tracking.replay import replay
from hmr_light.tracking.server import mlflow_server, wait_until_it_answers
from hmr_light.tracking.state import unsent
from hmr_light.tracking.store import connect, default_uri

pytestmark = pytest.mark.slow

RUNS, POINTS = 8, 250
RUN = f"""
import random, sys
from pathlib import Path
from hmr_light.tracking import start_tracking
run_dir, uri, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
draw = random.Random(number)
with start_tracking(run_dir, experiment="e", uri=uri, run_name=f"run {{number}}") as tracker:
    tracker.params({{"seed": number}})
    for step in range({POINTS}):
        tracker.metrics({{"loss/total": draw.random(), "loss/shape": draw.random()}}, step=step)
    path = run_dir / "epoch-001.pt"
    path.write_bytes(draw.randbytes(100))
    tracker.checkpoint(path, epoch=1, saved="260101-000000", metrics={{"mpjpe_mm": draw.random()}})
"""


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """The URI of an empty PostgreSQL database of the test's own, with a password."""
    with open_postgres() as uri:
        yield uri


def check_eight_runs(folder: Path, uri: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", RUN, str(folder / f"run{number}"), uri, str(number)])
        for number in range(RUNS)
    ]
    assert [process.wait(300) for process in processes] == [0] * RUNS
    for number in range(RUNS):
        if unsent(folder / f"run{number}", uri):  # the machine was too slow for all to be done in time
            replay(folder / f"run{number}", uri)
    found = {run["name"]: run for run in contents(uri)}
    assert found.keys() == {f"run {number}" for number in range(RUNS)}
    for number in range(RUNS):
        run, draw = found[f"run {number}"], random.Random(number)
        assert (run["status"], run["params"]["seed"]) == ("FINISHED", str(number))
        values = [(draw.random(), draw.random()) for _ in range(POINTS)]
        for position, name in enumerate(("loss/total", "loss/shape")):
            points = [(step, value) for _, step, value in run["metrics"][name]]
            assert points == [(step, pair[position]) for step, pair in enumerate(values)]
        assert len(run["models"]) == run["outputs"] == 1
        assert "geheim" not in "".join(path.read_text() for path in (folder / f"run{number}").glob("*.json*"))


@pytest.fixture
def in_its_own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HMR_LIGHT_HOME", str(tmp_path))
    return tmp_path


def test_one_sqlite_file(in_its_own_home: Path) -> None:
    check_eight_runs(in_its_own_home, default_uri(in_its_own_home))


def test_one_postgresql_database(in_its_own_home: Path, postgresql: str) -> None:
    check_eight_runs(in_its_own_home, postgresql)


def test_a_server_on_postgresql(in_its_own_home: Path, postgresql: str) -> None:
    import psycopg

    name = f"behind_{time.time_ns()}"
    with psycopg.connect(postgresql, autocommit=True) as other:
        other.execute(f"CREATE DATABASE {name}")
    uri = f"{postgresql.rpartition('/')[0]}/{name}"
    connect(uri, create=True)
    port = free_port()
    with mlflow_server(uri, port) as server:
        wait_until_it_answers(server)
        command = " ".join(map(str, server.process.args))  # type: ignore[arg-type]
        assert without_secret(uri) != uri
        assert "geheim" not in command, "anyone may read a command line"
        check_eight_runs(in_its_own_home, f"http://127.0.0.1:{port}")
