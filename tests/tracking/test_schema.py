"""Stores of other versions of MLflow are told as such, with what to do, by every command that meets one."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import Command
from support.full_run import write_run
from support.stores import store_in

from hmr_light.errors import UserError
from hmr_light.tracking.replay import replay
from hmr_light.tracking.schema import _known, _newest, find_problem
from hmr_light.tracking.search import read_experiment
from hmr_light.tracking.server import mlflow_server
from hmr_light.tracking.store import connect, default_uri


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and a store of the installed MLflow."""
    folder = tmp_path_factory.mktemp("store")
    write_run(folder / "run", seed=0, epochs=1, points=1)
    replay(folder / "run", store_in(folder))
    return folder


def with_revision(store: Path, folder: Path, revision: str) -> str:
    shutil.copyfile(store / "mlflow.db", folder / "mlflow.db")
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = ?", [revision])
        database.commit()
    return default_uri(folder)


def test_a_store_of_the_installed_version_is_no_problem(store: Path) -> None:
    assert find_problem(store / "mlflow.db", default_uri(store)) is None
    with contextlib.closing(sqlite3.connect(store / "mlflow.db")) as database:
        (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    assert revision == _newest()


@pytest.mark.parametrize(("kind", "says"), [("older", "mlflow db upgrade sqlite:///"), ("newer", "--upgrade mlflow")])
def test_every_way_to_the_store_says_which_version_it_is_of(store: Path, tmp_path: Path, kind: str, says: str) -> None:
    revision = _known()[_newest()] if kind == "older" else "feedc0ffee12"
    uri = with_revision(store, tmp_path, revision)
    shutil.copytree(store / "run", tmp_path / "run")

    def serve() -> None:
        with mlflow_server(uri, 0):
            pass

    for way in (lambda: read_experiment(uri, "e"), lambda: replay(tmp_path / "run", uri), serve):
        with pytest.raises(UserError, match=rf"made by an? {kind} version of MLflow .*{revision}") as caught:
            way()  # type: ignore[no-untyped-call]
        assert says in caught.value.remedy
        assert str(tmp_path) in caught.value.message
    problem = find_problem(tmp_path / "mlflow.db", uri)
    assert problem is not None
    assert (problem.message, problem.remedy) == (caught.value.message, caught.value.remedy)


def test_doctor_says_it_too(store: Path, tmp_path: Path, hmr_light: Command) -> None:
    uri = with_revision(store, tmp_path, _known()[_newest()])
    told = hmr_light("doctor", f"tracking.uri={uri}").stdout
    assert "older version of MLflow" in " ".join(told.split())


def test_a_deleted_experiment_is_told_and_comes_back_by_the_command_that_is_printed(
    store: Path, tmp_path: Path
) -> None:
    shutil.copyfile(store / "mlflow.db", tmp_path / "mlflow.db")
    uri = default_uri(tmp_path)
    client = connect(uri, create=False)
    client.delete_experiment(client.get_experiment_by_name("e").experiment_id)
    with pytest.raises(UserError, match="the experiment 'e' was deleted in MLflow") as caught:
        read_experiment(uri, "e")
    command = re.search(r"(MLFLOW_TRACKING_URI=\S+) python (.*)", caught.value.remedy)
    assert command is not None
    name, _, value = shlex.split(command[1])[0].partition("=")
    subprocess.run([sys.executable, *shlex.split(command[2])], env={name: value}, check=True, capture_output=True)
    assert [run.name for run in read_experiment(uri, "e")[0]] == ["run 0"]


def test_an_experiment_that_never_was_is_told_with_the_nearest_name(store: Path) -> None:
    with pytest.raises(UserError, match="has no experiment 'ee'") as caught:
        read_experiment(default_uri(store), "ee")
    assert "'e'" in caught.value.remedy or " e" in caught.value.remedy
