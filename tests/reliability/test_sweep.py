"""A sweep of several processes (joblib's) loses nothing: not what it writes at once, not what it had done when it is
stopped or killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import defaultdict
from pathlib import Path

import pytest
from support.child_processes import ChildProcesses
from support.small_run import journal, options, run_folders, write_data

from hmr_light.tracking.replay import replay
from hmr_light.tracking.state import unsent
from hmr_light.tracking.store import connect, default_uri

SEED = random.randrange(10**6)
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("tiny"), SEED)


class ParallelSweep:
    """`hmr-light train -m` of one run a seed, `jobs` at a time, with a loader process each."""

    def __init__(
        self, child_processes: ChildProcesses, data: Path, folder: Path, seeds: int, jobs: int, *more: str
    ) -> None:
        self.process = child_processes.start(
            *options(data, folder, "data.workers=1", f"seed={','.join(map(str, range(seeds)))}", *more),
            *("-m", f"hydra.sweep.dir={folder / 'sweep'}"),
            *("hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"),
            HMR_LIGHT_HOME=str(folder),
        )

    @property
    def said(self) -> str:
        return self.process.said

    def wait_for(self, text: str, count: int) -> None:
        while self.said.count(text) < count:
            time.sleep(0.01)
            assert not self.process.has_ended(), self.said

    def ended(self) -> int:
        """Its exit status, once it and all of its processes are gone."""
        status = self.process.wait()
        until = time.monotonic() + PATIENCE_SECONDS
        while subprocess.run(["pgrep", "-s", str(self.process.pid), "-r", "R,S,D,T"], capture_output=True).stdout:
            time.sleep(0.05)
            assert time.monotonic() < until, "it has left processes"
        return status


@pytest.mark.parametrize(("seeds", "jobs"), [(3, 2), pytest.param(8, 8, marks=pytest.mark.slow)])
def test_runs_that_train_at_once_share_one_store(
    child_processes: ChildProcesses, data: Path, tmp_path: Path, seeds: int, jobs: int
) -> None:
    sweep = ParallelSweep(child_processes, data, tmp_path, seeds, jobs, "tracking=local")
    assert sweep.ended() == 0, sweep.said
    folders, uri = run_folders(tmp_path), default_uri(tmp_path)
    assert len(folders) == seeds
    for folder in folders:
        if unsent(folder, uri):  # the machine was too slow for all to be done in time
            replay(folder, uri)
    client = connect(uri, create=False)
    (experiment,) = client.search_experiments(filter_string="name = 'hmr_light'")
    runs = {run.data.tags["hmr_light.run_dir"]: run for run in client.search_runs([experiment.experiment_id])}
    assert runs.keys() == set(map(str, folders))
    assert {run.data.params["seed"] for run in runs.values()} == set(map(str, range(seeds)))
    for folder in folders:
        run = runs[str(folder)]
        assert (run.info.status, unsent(folder, uri)) == ("FINISHED", 0)
        written = defaultdict(list)
        for entry in journal(folder):
            for name, value in entry["values"].items() if entry["kind"] == "metrics" else ():
                own = name.removeprefix("synthetic/")  # MLflow has the figures on the primary set once
                if own == name or own not in entry["values"]:
                    written[name].append((entry["step"], value))
        stored = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
        assert {name: [(p.step, p.value) for p in points] for name, points in stored.items()} == written


def test_a_sweep_that_is_stopped_or_killed_goes_on(child_processes: ChildProcesses, data: Path, tmp_path: Path) -> None:
    begin = (child_processes, data, tmp_path, 3, 2, "trainer.epochs=500", "resume=auto")

    sweep = ParallelSweep(*begin)
    sweep.wait_for("\nepoch 1/500", 2)
    os.killpg(sweep.process.pid, signal.SIGINT)  # as a terminal does it
    assert sweep.ended() == 130, sweep.said
    assert sweep.said.count("hmr-light: stopped. Saved after ") == 2
    assert "Go on with the same command and resume=auto" in sweep.said
    assert "Traceback" not in sweep.said
    folders = run_folders(tmp_path)
    assert [journal(folder)[-1]["status"] for folder in folders] == ["KILLED"] * 2, "the third has not begun"

    sweep = ParallelSweep(*begin)
    sweep.wait_for("continuing ", 2)
    sweep.wait_for("\nepoch ", 4)
    sweep.process.kill(signal.SIGTERM)  # to the one process that a user knows
    assert sweep.ended() == 130, sweep.said
    assert sweep.said.count("hmr-light: stopped. Saved after ") == 2
    assert "Traceback" not in sweep.said

    sweep = ParallelSweep(*begin)
    sweep.wait_for("continuing ", 2)
    sweep.wait_for("\nepoch ", 4)
    runs = subprocess.run(["pgrep", "-P", str(sweep.process.pid), "-f", "LokyProcess"], capture_output=True, text=True)
    os.kill(int(runs.stdout.split()[-1]), signal.SIGKILL)
    assert sweep.ended() == 2, sweep.said
    assert "hmr-light: a process of the sweep was killed" in sweep.said
    assert "Traceback" not in sweep.said
    assert run_folders(tmp_path) == folders

    sweep = ParallelSweep(*begin)
    sweep.wait_for("continuing ", 2)
    sweep.wait_for("\nepoch ", 4)
    sweep.process.kill()
    assert sweep.ended() == -9
    assert sweep.said.count("hmr-light: stopped. Saved after ") == 2, "nobody trains on unseen"
    assert [journal(folder)[-1]["status"] for folder in folders] == ["KILLED"] * 2
