"""Sending a journal stores everything once, however often and however badly it was sent before."""

from __future__ import annotations

import contextlib
import hashlib
import random
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from support.child_processes import ChildProcesses
from support.cli import compose
from support.full_run import contents, write_run
from support.stores import store_in

from hmr_light.commands import sync
from hmr_light.errors import UserError
from hmr_light.tracking import start_tracking
from hmr_light.tracking.replay import journals, replay
from hmr_light.tracking.state import FILE_NAME, load_sent, sender_lock, unsent
from hmr_light.tracking.store import Unreachable, connect, default_uri


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("replay") / "run"
    write_run(run_dir, seed=1)
    return run_dir


@pytest.fixture(scope="module")
def expected(run_dir: Path) -> list[dict[str, Any]]:
    """What one undisturbed replay stores."""
    uri = default_uri(run_dir.parent)
    replay(run_dir, uri)
    return contents(uri)


def test_a_replay_stores_what_the_journal_says_in_its_order(run_dir: Path, expected: list[dict[str, Any]]) -> None:
    (run,) = expected
    draw = random.Random(1)
    params = {f"group.key{number}": str(draw.random()) for number in range(120)}
    assert run["params"] == params
    assert run["status"] == "FINISHED"
    assert len(run["models"]) == run["outputs"] == 3
    for name in ("loss/total", "이름"):
        points = run["metrics"][name]
        assert [step for _, step, _ in points] == list(range(5, 20))
        assert points == sorted(points)
    assert run["artifacts"] == ["checkpoints/epoch-003.pt"]
    assert unsent(run_dir, default_uri(run_dir.parent)) == 0


def test_a_second_replay_changes_nothing_with_and_without_the_note_of_the_first(
    run_dir: Path, expected: list[dict[str, Any]]
) -> None:
    uri = default_uri(run_dir.parent)
    assert replay(run_dir, uri).entries == 0
    (run_dir / FILE_NAME).unlink()
    again = replay(run_dir, uri)
    assert again.entries > 20
    assert again.refused == []
    assert contents(uri) == expected
    (run_dir / FILE_NAME).write_text("not json")
    replay(run_dir, uri)
    assert contents(uri) == expected


@pytest.mark.parametrize("seed", range(3))
def test_a_replay_that_breaks_at_any_request_is_completed_by_the_next(
    run_dir: Path,
    expected: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    draw = random.Random(seed)
    uri = store_in(tmp_path)
    calls = ("create_run", "log_batch", "finalize_logged_model", "log_outputs", "log_artifact")
    real = {name: getattr(MlflowClient, name) for name in calls}
    breaks = 0

    def fragile(name: str) -> Any:
        def call(*args: Any, **keywords: Any) -> Any:
            nonlocal breaks
            if breaks < 12 and draw.random() < 0.35:
                breaks += 1
                if draw.random() < 0.5:
                    real[name](*args, **keywords)  # done, but the answer is lost
                raise ConnectionError(f"broken in {name}")
            return real[name](*args, **keywords)

        return call

    for name in calls:
        monkeypatch.setattr(MlflowClient, name, fragile(name))
    (run_dir / FILE_NAME).unlink(missing_ok=True)
    for _ in range(40):
        with contextlib.suppress(Unreachable):
            replay(run_dir, uri)
            break
        if draw.random() < 0.2:
            (run_dir / FILE_NAME).unlink(missing_ok=True)
    else:
        pytest.fail(f"never completed, seed {seed}")
    assert breaks > 3, f"seed {seed}"
    assert contents(uri) == expected, f"seed {seed}"


def test_replays_that_are_killed_store_everything_once(child_processes: ChildProcesses, tmp_path: Path) -> None:
    write_run(tmp_path / "run", seed=2, epochs=6, points=100)
    uri, other = store_in(tmp_path), store_in(tmp_path / "undisturbed")
    # When MLflow has what has not been noted yet, somewhere in the midst of it.
    noting = ("hmr_light.tracking.mlflow_writer:save_sent", random.randrange(6, 15))
    child = child_processes.start("sync", f"run_dir={tmp_path / 'run'}", f"tracking.uri={uri}", at=noting)
    assert child.wait() == -signal.SIGKILL, child.said
    sent = load_sent(tmp_path / "run", uri).offset
    assert sent > 0
    assert unsent(tmp_path / "run", uri) > 0, "the kill came too late to test anything"
    replay(tmp_path / "run", uri)
    broken_once = contents(uri)
    replay(tmp_path / "run", other)
    assert broken_once == contents(other)


def test_a_store_that_was_removed_is_filled_again(tmp_path: Path) -> None:
    write_run(tmp_path / "run", seed=3, epochs=1)
    uri = store_in(tmp_path)
    first = replay(tmp_path / "run", uri)
    before = contents(uri)
    for path in tmp_path.glob("mlflow.db*"):
        path.rename(path.with_name(f"old-{path.name}"))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    assert replay(tmp_path / "run", store_in(moved)).entries == first.entries
    assert contents(store_in(moved)) == before


def test_what_mlflow_refuses_does_not_cost_the_rest(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with start_tracking(run_dir, experiment="e", uri=None, run_name="r") as tracker:
        tracker.metrics({"good": 1.0, "a/../b": 2.0, "odd [%] (name)": 3.0}, step=0)
        tracker.metrics({"later": 4.0}, step=1)
    uri = store_in(tmp_path)
    refused = replay(run_dir, uri).refused
    assert len(refused) == 1
    assert "a/../b" in refused[0]
    (run,) = contents(uri)
    assert {key: points[-1][2] for key, points in run["metrics"].items()} == {
        "good": 1.0,
        "odd ___ _name_": 3.0,
        "later": 4.0,
    }


def test_a_parameter_that_a_continued_run_changed_is_kept_as_a_tag(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    uri = store_in(tmp_path)
    for epochs in (10, 20):
        with start_tracking(run_dir, experiment="e", uri=None, run_name="r") as tracker:
            tracker.params({"trainer": {"epochs": epochs, "batch_size": 64}})
        replay(run_dir, uri)
    (run,) = contents(uri)
    assert run["params"] == {"trainer.epochs": "10", "trainer.batch_size": "64"}
    assert run["tags"]["hmr_light.changed.trainer.epochs"] == "20"


def test_a_run_that_went_on_after_its_failure_bears_the_error_no_longer(tmp_path: Path) -> None:
    run_dir, uri = tmp_path / "run", store_in(tmp_path)

    def train(fails: bool) -> None:
        with start_tracking(run_dir, experiment="e", uri=None, run_name="r") as tracker:
            tracker.metrics({"loss/total": 1.0}, step=0)
            if fails:
                raise ValueError("the loss is nan")

    with pytest.raises(ValueError, match="nan"):
        train(fails=True)
    replay(run_dir, uri)
    (run,) = contents(uri)
    assert (run["status"], run["tags"]["hmr_light.error"]) == ("FAILED", "ValueError: the loss is nan")
    for _ in range(2):
        train(fails=False)
        replay(run_dir, uri)
    (run,) = contents(uri)
    assert run["status"] == "FINISHED"
    assert "hmr_light.error" not in run["tags"]
    (run_dir / FILE_NAME).unlink()
    assert replay(run_dir, uri).refused == []
    assert contents(uri) == [run]


def test_of_a_folder_of_runs_one_that_cannot_be_sent_does_not_keep_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        write_run(tmp_path / "runs" / f"run{number}", seed=number, epochs=1, points=1)
    (tmp_path / "runs" / "run3").mkdir()
    (tmp_path / "runs" / "run3" / "journal.jsonl").touch()  # killed before its first word
    config = compose("sync", f"run_dir={tmp_path / 'runs'}", f"tracking.uri={store_in(tmp_path)}")
    with sender_lock(tmp_path / "runs" / "run0"), pytest.raises(UserError, match="1 of 4 journals were not sent"):
        sync.run(config)
    said = capsys.readouterr()
    assert "run0: not sent: another process is sending" in said.err
    assert "run3: its journal is empty" in said.out
    assert {run["name"] for run in contents(store_in(tmp_path))} == {"run 1", "run 2"}


def test_one_process_sends_a_journal_at_a_time(tmp_path: Path) -> None:
    write_run(tmp_path / "run", seed=4, epochs=1)
    with sender_lock(tmp_path / "run") as mine:
        assert mine
        with pytest.raises(UserError, match="another process is sending"):
            replay(tmp_path / "run", store_in(tmp_path))


def test_a_folder_without_a_journal_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no journal\.jsonl"):
        journals(tmp_path)


def test_checkpoint_files_are_kept_in_mlflow_where_that_is_asked_for(tmp_path: Path) -> None:
    run_dir, uri = tmp_path / "run", store_in(tmp_path)
    run_dir.mkdir()
    with start_tracking(run_dir, experiment="e", uri=None, run_name="r", upload_checkpoints=True) as tracker:
        (run_dir / "epoch-003.pt").write_bytes(b"weights")
        tracker.checkpoint(run_dir / "epoch-003.pt", epoch=3, saved="260101-000000", metrics={"mpjpe_mm": 90.0})
    replay(run_dir, uri)
    (run,) = contents(uri)
    assert run["artifacts"] == ["checkpoints/epoch-003.pt"]
    (kept,) = (tmp_path / "mlartifacts").rglob("checkpoints/epoch-003.pt")
    assert kept.read_bytes() == b"weights"


def test_a_run_is_below_its_parent_in_every_store_that_has_both(
    run_dir: Path, expected: list[dict[str, Any]], tmp_path: Path
) -> None:
    shutil.copy(run_dir.parent / "mlflow.db", tmp_path)  # making one takes seconds
    checkpoint, parent, child = tmp_path / "epoch-001.pt", tmp_path / "runs" / "1", tmp_path / "runs" / "2"
    checkpoint.write_bytes(random.randbytes(9))
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    with start_tracking(parent, experiment="tree", uri=None, run_name="parent") as tracker:
        (parent / "epoch-001.pt").write_bytes(checkpoint.read_bytes())
        tracker.checkpoint(parent / "epoch-001.pt", epoch=1, saved="260101-120500", metrics={"mpjpe_mm": 1.0})
    with start_tracking(child, experiment="tree", uri=None, run_name="child") as tracker:
        elsewhere = {"mlflow.parentRunId": "0" * 32, "hmr_light.parent_run": "0" * 32}
        tracker.tags(elsewhere | {"hmr_light.parent_checkpoint": sha256})
    uri = default_uri(tmp_path)
    above, below = (replay(run_dir, uri).run_id for run_dir in journals(tmp_path / "runs"))
    assert connect(uri, create=False).get_run(below).data.tags["mlflow.parentRunId"] == above
