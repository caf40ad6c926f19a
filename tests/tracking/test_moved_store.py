"""A store that was moved, or copied, with its home writes its artifacts beside itself, and to no other place."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils

from hmr_light.tracking import continue_tracking, start_tracking
from hmr_light.tracking.moved_store import follow_store
from hmr_light.tracking.replay import replay
from hmr_light.tracking.schema import REVISIONS
from hmr_light.tracking.store import default_uri


def test_pictures_of_a_run_are_written_where_its_home_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "나의 home"
    run_dir = home / "outputs" / "e" / "run"
    run_dir.mkdir(parents=True)
    monkeypatch.setenv("HMR_LIGHT_HOME", str(home))
    with start_tracking(run_dir, experiment="e", uri=None, run_name="r") as tracker:
        (run_dir / "first.txt").write_text("1")
        tracker.artifact(run_dir / "first.txt")
    # In a locale without its letters, Python holds a path so.
    replay(Path(str(run_dir).encode().decode("ascii", "surrogateescape")), default_uri(home))
    (run,) = MlflowClient(default_uri(home)).search_runs(["1"])
    assert run.data.tags["hmr_light.run_dir"] == str(run_dir)
    copied = tmp_path / "copied"
    shutil.copytree(home, copied)
    moved = home.rename(tmp_path / "moved")
    for number, place in enumerate((copied, moved)):
        monkeypatch.setenv("HMR_LIGHT_HOME", str(place))
        here = place / "outputs" / "e" / "run"
        with continue_tracking(here, uri=None) as tracker:
            (here / f"{number}.txt").write_text("2")
            tracker.artifact(here / f"{number}.txt")
        utils._artifact_repos_cache.clear()  # MLflow's, of this process: each command is another one
        replay(here, default_uri(place))
        (run,) = MlflowClient(default_uri(place)).search_runs(["1"])
        assert run.info.artifact_uri.startswith(f"{place.as_uri()}/mlartifacts/e/")
        folder = Path(run.info.artifact_uri.removeprefix("file://"))
        assert sorted(path.name for path in folder.iterdir()) == [f"{number}.txt", "first.txt"]
    assert not home.exists()


@pytest.mark.parametrize(
    ("written", "made", "expected"),
    [
        ("file:///gone/mlartifacts/e", [], "{home}/mlartifacts/e"),
        ("file:///gone/mlartifacts/e", ["mlartifacts"], "{home}/mlartifacts/e"),
        ("file:///gone/elsewhere/e", ["mlartifacts"], None),
        ("s3://bucket/mlartifacts/e", ["mlartifacts"], None),
        ("{home}/other/mlartifacts/e", ["other/mlartifacts"], None),
        ("{home}/mlartifacts/e", ["mlartifacts"], None),
    ],
)
def test_only_the_folder_beside_the_store_takes_the_place_of_another(
    written: str, made: list[str], expected: str | None, tmp_path: Path
) -> None:
    for name in made:
        (tmp_path / name).mkdir(parents=True)
    before = written.format(home=tmp_path.as_uri())
    path = tmp_path / "mlflow.db"
    tables = {"experiments": "artifact_location", "runs": "artifact_uri", "logged_models": "artifact_location"}
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE alembic_version (version_num)")
        database.execute("INSERT INTO alembic_version VALUES (?)", REVISIONS[:1])
        for table, column in tables.items():
            database.execute(f"CREATE TABLE {table} ({column})")
            database.executemany(f"INSERT INTO {table} VALUES (?)", [(before,), (None,), ("./mlruns/0",)])
    follow_store(path)
    with sqlite3.connect(path) as database:
        for table, column in tables.items():
            found = [value for (value,) in database.execute(f"SELECT {column} FROM {table}")]
            assert found == [expected.format(home=tmp_path.as_uri()) if expected else before, None, "./mlruns/0"]
