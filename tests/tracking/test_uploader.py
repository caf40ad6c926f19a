"""A real MLflow server, and all that can go wrong on the way to it: nothing is lost, nothing stored twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Command
from support.flaky_proxy import FlakyProxy
from support.full_run import contents, write_run
from support.ports import free_port
from support.stores import store_in

from hmr_light.tracking import start_tracking, tracker
from hmr_light.tracking.replay import replay
from hmr_light.tracking.server import mlflow_server, wait_until_it_answers
from hmr_light.tracking.state import FILE_NAME, unsent
from hmr_light.tracking.store import Unreachable, connect, default_uri, sqlite_path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SQLite store behind the server."""
    uri = default_uri(tmp_path_factory.mktemp("server"))
    connect(uri, create=True)
    return uri


@pytest.fixture(scope="module")
def port(store: str) -> Iterator[int]:
    """The server's."""
    port = free_port()
    with mlflow_server(store, port) as server:
        wait_until_it_answers(server)
        yield port


@pytest.fixture
def proxy(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyProxy]:
    # One try a request and no pause after it: the tests are about what comes after that.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    proxy = FlakyProxy(port)
    yield proxy
    proxy.shutdown()
    proxy.server_close()


def run_of(port: int, name: str) -> dict[str, Any]:
    """The one run of that name, as the server tells of it."""
    (run,) = (each for each in contents(f"http://127.0.0.1:{port}") if each["name"] == name)
    return run


def points(store: str, name: str) -> int:
    """The metric points of a run, counted in the database itself."""
    with contextlib.closing(sqlite3.connect(sqlite_path(store))) as database:
        ask = "SELECT COUNT(*) FROM metrics JOIN runs USING (run_uuid) WHERE runs.name = ?"
        return int(database.execute(ask, [name]).fetchone()[0])


def expected(run_dir: Path, folder: Path) -> tuple[dict[str, Any], int]:
    """What an undisturbed replay stores of a run, and how many points that are."""
    (run_dir / FILE_NAME).unlink(missing_ok=True)
    uri = store_in(folder / "undisturbed")
    replay(run_dir, uri)
    (run_dir / FILE_NAME).unlink()
    (run,) = contents(uri)
    return run, points(uri, run["name"])


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 20))])
def test_a_way_that_fails_at_random_loses_nothing(proxy: FlakyProxy, store: str, tmp_path: Path, seed: int) -> None:
    seed += 1000 * int(time.time())
    write_run(tmp_path / "run", seed, epochs=2, points=3)
    draw = random.Random(seed)
    whole, count = expected(tmp_path / "run", tmp_path)
    faults = ["error", "foreign", "cut", "lost"]

    def fault() -> str:
        """Four of ten requests at random, one of three at the least, up to 15."""
        met = sum(proxy.met[name] for name in faults)
        is_due = draw.random() < 0.4 or proxy.met["none"] > 2 * met
        return draw.choice(faults) if met < 15 and is_due else "none"

    proxy.fault = fault
    for _ in range(60):
        with contextlib.suppress(Unreachable):
            refused = replay(tmp_path / "run", proxy.uri).refused
            break
    assert refused == [], f"seed {seed}: what something on the way says is not MLflow's word"
    assert sum(proxy.met[fault] for fault in faults) >= 5, f"seed {seed}: {proxy.met}"
    assert run_of(proxy.backend, f"run {seed}") == whole, f"seed {seed}"
    assert points(store, f"run {seed}") == count, f"seed {seed}"
    assert replay(tmp_path / "run", proxy.uri).entries == 0


def test_a_run_goes_on_while_its_server_comes_and_goes(
    proxy: FlakyProxy, store: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HMR_LIGHT_HOME", str(tmp_path))
    phase, step = "cut", 0
    proxy.fault = lambda: phase
    with start_tracking(tmp_path / "run", experiment="e", uri=proxy.uri, run_name="comes and goes") as tracking:
        for phase in ("cut", "none", "error", "none"):
            goal, end = proxy.met[phase] + 2, time.monotonic() + 300  # it imports MLflow first
            while proxy.met[phase] < goal and time.monotonic() < end:
                step += 1
                tracking.metrics({"loss/total": 1 / step}, step=step)
                time.sleep(0.02)
    said = [line for line in capfd.readouterr().err.splitlines() if line]
    assert "figures wait in" in said[0]
    assert sum("figures wait in" in line for line in said) == sum("answers again" in line for line in said)
    assert all("tracking: MLflow at" in line for line in said), said
    assert unsent(tmp_path / "run", proxy.uri) == 0
    history = run_of(proxy.backend, "comes and goes")["metrics"]["loss/total"]
    assert [(at, value) for _, at, value in history] == [(at, 1 / at) for at in range(1, step + 1)]
    assert points(store, "comes and goes") == step


def test_a_run_that_outlasts_its_server_says_how_to_send_the_rest(
    hmr_light: Command,
    proxy: FlakyProxy,
    store: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracker, "FINISH_SECONDS", 1.0)
    proxy.fault, proxy.delay = lambda: "slow", 2.0
    uri = proxy.uri.replace("//", "//someone:geheim@")
    run_dir = tmp_path / "run"

    def run() -> None:
        with start_tracking(run_dir, experiment="e", uri=uri, run_name="s") as tracking:
            for step in range(100):
                tracking.metrics({"loss/total": step}, step=step)
            raise ValueError(f"bad {uri}")

    with pytest.raises(ValueError, match="bad"):
        run()
    said = capfd.readouterr().err
    command = f"hmr-light sync run_dir={run_dir} tracking.uri={proxy.uri}"
    assert f"MLflow lacks 102 entries of this run's journal. Send them with:\n  {command}\n" in said
    proxy.fault = lambda: "none"
    done = hmr_light(*command.split()[1:])
    assert done.returncode == 0, done.stderr
    assert "102 entries sent" in done.stdout
    run_now = run_of(proxy.backend, "s")
    assert run_now["status"] == "FAILED"
    assert run_now["tags"]["hmr_light.error"] == f"ValueError: bad {proxy.uri}", "the error, without the password"
    assert points(store, "s") == 100
    for path in run_dir.iterdir():
        assert "geheim" not in path.read_text()


@pytest.mark.slow
def test_sync_that_is_killed_at_ten_moments_stores_everything_once(
    proxy: FlakyProxy, store: str, tmp_path: Path
) -> None:
    seed = int(time.time())
    write_run(tmp_path / "run", seed, epochs=6, points=300)
    whole, count = expected(tmp_path / "run", tmp_path)
    draw = random.Random(seed)
    proxy.fault, proxy.delay = lambda: "slow", 0.1  # else it is done before it can be killed
    command = [sys.executable, "-m", "hmr_light", "sync", f"run_dir={tmp_path / 'run'}", f"tracking.uri={proxy.uri}"]
    killed = 0
    for _ in range(10):
        before = proxy.met["slow"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        goal = before + draw.randrange(1, 8)
        while process.poll() is None and proxy.met["slow"] < goal:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if draw.random() < 0.2:
            (tmp_path / "run" / FILE_NAME).unlink(missing_ok=True)
    assert killed >= 5, f"seed {seed}"
    for _ in range(2):
        assert subprocess.run(command, check=False, env=dict(os.environ)).returncode == 0
    assert run_of(proxy.backend, f"run {seed}") == whole, f"seed {seed}"
    assert points(store, f"run {seed}") == count, f"seed {seed}"
