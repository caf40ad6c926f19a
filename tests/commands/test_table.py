"""From journals to the printed table, through a real store and the real command."""

from __future__ import annotations

import csv
import io
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from support.stores import store_in

from hmr_light.commands.table import run
from hmr_light.config.schema import TableConfig, TrackingConfig
from hmr_light.errors import UserError
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.rows import read_rows
from hmr_light.reports.tabular import write
from hmr_light.tracking import start_tracking
from hmr_light.tracking.replay import replay

SCRIPT = Path(__file__).parents[2] / "scripts" / "rebuild_table.py"
RUNS = {"mean_pose": (0, [160.0]), "mobilenet_v2": (5901189, [120.0, 90.0, 95.0]), "squeezenet1_0": (5255517, [110.0])}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with three runs."""
    home = tmp_path_factory.mktemp("runs")
    uri = store_in(home)
    for row, (parameters, errors) in RUNS.items():
        run_dir = home / "outputs" / row
        with start_tracking(run_dir, experiment="hmr_light", uri=None, run_name=f"{row} 260101-000000") as tracker:
            tracker.params({"seed": 0, "data": {"fingerprint": "f" * 64}})
            tracker.tags({"hmr_light.row": row, "hmr_light.git_commit": "c" * 40, "hmr_light.protocol": "3dpw-j14"})
            tracker.metrics({"parameters": parameters, "inference_time_s": 0.012345}, step=0)
            for epoch, error in enumerate(errors, start=1):
                path = run_dir / f"epoch-{epoch:03d}.pt"
                path.write_text(f"{row} {epoch}")
                names = ("mpjpe_mm", "reconstruction_error_mm", "pve_mm")
                figures = {f"{where}{name}": error / (1 + k) for where in ("", "val/") for k, name in enumerate(names)}
                tracker.metrics(figures, step=epoch)
                tracker.checkpoint(path, epoch=epoch, saved=f"260101-00000{epoch}", metrics=figures)
        replay(run_dir, uri)
    return uri


def test_the_command_prints_the_runs_without_importing_torch_or_mlflow(home: Path, uri: str) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "hmr_light", "table", f"tracking.uri={uri}"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[2:5] == [
        "|mean_pose|(1)260101-000001|0|160.0|80.0|0.01235|",
        "|>>>mobilenet_v2<<<|(2)260101-000002|5,901,189|**90.0**|**45.0**|**0.01235**|",
        "|squeezenet1_0|(1)260101-000001|**5,255,517**|110.0|55.0|**0.01235**|",
    ]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "sqlite3" in imported
    assert not imported & {"torch", "torchvision", "cv2", "mlflow"}


def test_the_script_gives_the_same_bytes_as_the_command(
    uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    choices = {"format": "csv", "language": "ko", "rows": "all"}
    tracking = TrackingConfig(name="local", uri=uri, experiment="hmr_light")
    for name in ("first.csv", "second.csv"):
        run(TableConfig(out=tmp_path / name, tracking=tracking, **choices))
    text = (tmp_path / "first.csv").read_text()
    assert (tmp_path / "second.csv").read_text() == text
    read = list(csv.DictReader(io.StringIO(text)))
    assert [(each["모델"], each["epoch"]) for each in read] == [
        ("mean_pose", "1"),
        *[("mobilenet_v2", epoch) for epoch in "321"],
        ("squeezenet1_0", "1"),
    ]
    capsys.readouterr()
    arguments = [f"--{name}={value}" for name, value in choices.items()]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--uri", uri, *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert capsys.readouterr().out == text


def test_every_figure_is_the_one_that_was_told(uri: str) -> None:
    rows = read_rows(uri, "hmr_light", "all")
    assert len(rows) == 5
    for row in rows:
        parameters, errors = RUNS[row.model]
        assert row["parameters"] == parameters
        assert row["mpjpe_mm"] == errors[row.epoch - 1]
        assert row["reconstruction_error_mm"] == errors[row.epoch - 1] / 2
        assert row["pve_mm"] == errors[row.epoch - 1] / 3
        assert row["inference_time_s"] == 0.012345
        assert Path(row.checkpoint).read_text() == f"{row.model} {row.epoch}"
        assert row.data_fingerprint == "f" * 64
    again = read_rows(uri, "hmr_light", "all")
    assert write(comparison_table(rows), "markdown") == write(comparison_table(again), "markdown")


def test_an_unknown_or_empty_experiment_is_the_users_error(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UserError, match="Did you mean 'hmr_light'"):
        read_rows(uri, "hmr_ligth")
    with start_tracking(tmp_path / "empty", experiment="empty", uri=None, run_name="r"):
        pass
    replay(tmp_path / "empty", uri)
    with pytest.raises(UserError, match="has no checkpoint yet"):
        read_rows(uri, "empty")
