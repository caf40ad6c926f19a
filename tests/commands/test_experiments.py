"""Without a name, the only experiment of a store is taken; of several, each is named with what to type."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from support.cli import Command, compose
from support.stores import store_in

from hmr_light.commands.experiments import experiment_of
from hmr_light.errors import UserError
from hmr_light.tracking import start_tracking
from hmr_light.tracking.replay import replay


def store_with(home: Path, *experiments: str) -> str:
    for name in experiments:
        run_dir = home / "outputs" / name / "run"
        with start_tracking(run_dir, experiment=name, uri=None, run_name="m 260101-000000") as tracker:
            (run_dir / "epoch-001.pt").write_text(name)
            figures = {"mpjpe_mm": 90.0, "val/mpjpe_mm": 90.0}
            tracker.metrics(figures, step=1)
            tracker.checkpoint(run_dir / "epoch-001.pt", epoch=1, saved="260101-000000", metrics=figures)
        replay(run_dir, store_in(home))
    return store_in(home)


def test_the_only_experiment_is_taken(home: Path, hmr_light: Command) -> None:
    store_with(home, "demo")
    result = hmr_light("table")
    assert result.returncode == 0, result.stderr
    assert "|>>>m 260101-000000<<<|" in result.stdout
    assert "experiment demo: the only one in the store" in result.stderr
    missing = hmr_light("table", "experiment=demi")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "Did you mean 'demo'?" in missing.stderr


def test_of_several_each_is_listed_with_a_command_that_runs(home: Path, hmr_light: Command) -> None:
    store_with(home, "demo", "my (second) one")
    result = hmr_light("table")
    assert (result.returncode, result.stdout) == (2, "")
    listed = [line.strip() for line in result.stderr.splitlines() if line.strip().startswith("hmr-light table")]
    assert len(listed) == 2
    for command in listed:
        shown = hmr_light(*shlex.split(command)[1:])
        assert shown.returncode == 0, shown.stderr
        assert "|>>>m 260101-000000<<<|" in shown.stdout


def test_the_default_experiment_is_taken_and_the_others_are_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = store_with(home, "demo", "hmr_light")
    tracking = compose("table", f"tracking.uri={uri}").tracking
    assert experiment_of(tracking, "table") == "hmr_light"
    assert "tracking.experiment=demo" in capsys.readouterr().err
    tracking.experiment = "demo"
    assert experiment_of(tracking, "table") == "demo"
    assert capsys.readouterr().err == ""


def test_a_store_that_is_not_there_is_the_users_error(home: Path) -> None:
    with pytest.raises(UserError):
        experiment_of(compose("table", f"tracking.uri=sqlite:///{home}/none.db").tracking, "table")
