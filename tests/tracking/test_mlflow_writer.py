"""Eight runs that begin at once on a store that is still empty: every one is there, whole and once."""

from __future__ import annotations

import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.full_run import contents
from support.ports import free_port

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
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'hmr-light[postgres]'")
    programs = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]
    found = [path for path in programs if (path / "initdb").is_file()]
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    # PostgreSQL will not run as root.
    user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid} if os.geteuid() == 0 else {}
    # Not pytest's folder, which only its owner may enter; and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="hmr-light-postgresql-"))
    try:
        if user:
            shutil.chown(folder, "nobody")
        (folder / "password").write_text("geheim")
        (folder / "password").chmod(0o644)
        data, port = folder / "data", free_port()

        def run(program: str, *arguments: str) -> None:
            command = [str(found[0].resolve() / program), *arguments]
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)  # type: ignore[call-overload]

        run("initdb", "-D", str(data), "-U", "mlflow", "-A", "scram-sha-256", "--pwfile", str(folder / "password"))
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
        run("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://mlflow:geheim@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


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
