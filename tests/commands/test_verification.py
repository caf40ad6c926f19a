"""`hmr-light table verify=true`: a figure that holds, one that does not, a checkpoint that is another file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.cli import compose
from support.stores import store_in

from hmr_light.commands import evaluate, table, train
from hmr_light.data.annotations import Annotations, fingerprint, load_annotations, save_annotations
from hmr_light.errors import UserError
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.rows import read_rows
from hmr_light.tracking import continue_tracking
from hmr_light.tracking.replay import replay
from hmr_light.tracking.store import default_uri
from hmr_light.tracking.summary import summarize_run


@pytest.fixture
def run_dir(quick: list[str]) -> Path:
    return train.run(compose("train", *quick, "trainer.epochs=1"))


def test_a_row_holds_in_a_home_that_was_moved(
    home: Path, rendered: Path, quick: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(rendered, home / "own")
    trained = train.run(compose("train", *quick, f"data.root={home / 'own'}", "trainer.epochs=1"))
    replay(trained, store_in(home))
    moved = home.rename(home.with_name("moved"))
    monkeypatch.setenv("HMR_LIGHT_HOME", str(moved))
    table.run(compose("table", "format=csv", "verify=true", f"tracking.uri={default_uri(moved)}"))
    assert ": holds (within " in capsys.readouterr().out
    assert not home.exists()


def test_a_row_is_measured_again_and_a_false_figure_is_told(
    home: Path, rendered: Path, run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = store_in(home)
    replay(run_dir, uri)
    verify = compose("table", "format=csv", "verify=true", f"tracking.uri={uri}")
    table.run(verify)
    assert ": holds (within " in capsys.readouterr().out, "what the training itself measured"
    (trained,) = read_rows(uri, "hmr_light")
    assert trained.evaluation_fingerprint == fingerprint(load_annotations(rendered / "val.npz"))

    options = ("data=synthetic_test", f"data.root={rendered}", "data.workers=0", "tracking=journal", "device=cpu")
    evaluate.run(compose("evaluate", f"run={run_dir}", *options))
    replay(run_dir, uri)
    journal = (run_dir / "journal.jsonl").read_bytes()
    capsys.readouterr()
    table.run(verify)
    printed = capsys.readouterr().out
    (row,) = read_rows(uri, "hmr_light")
    assert (row.seed, row.git_commit != "", "torch 2." in row.versions) == ("0", True, True)
    assert ": holds (within " in printed
    assert "synthetic_test" in row.evaluated_on
    assert row.evaluation_fingerprint == fingerprint(load_annotations(rendered / "test.npz"))
    assert (run_dir / "journal.jsonl").read_bytes() == journal, "to verify is not to measure anew"

    (path,) = (run_dir / "checkpoints").glob("epoch-*.pt")
    with continue_tracking(run_dir, uri=None) as tracker:
        better = {f"{row.evaluated_on}/mpjpe_mm": row["mpjpe_mm"] - 0.1}
        tracker.checkpoint(path, epoch=1, saved=row.pt.partition(")")[2], metrics=better)
    replay(run_dir, uri)
    with pytest.raises(UserError, match="1 of 1 rows"):
        table.run(verify)
    assert f"does NOT hold: mpjpe_mm is {row['mpjpe_mm']:.3f}, the table says" in capsys.readouterr().out

    # A set that has changed is told, be the figures the same.
    arrays = load_annotations(rendered / "test.npz").to_arrays()
    moved = tmp_path / "test.npz"
    save_annotations(moved, Annotations.from_arrays(arrays))
    evaluate.run(compose("evaluate", f"run={run_dir}", *options, f"data.evaluation.synthetic_test.annotations={moved}"))
    replay(run_dir, uri)
    table.run(verify)
    assert ": holds (within " in capsys.readouterr().out, "the same annotations in another place"
    (again,) = read_rows(uri, "hmr_light")
    assert again.evaluation_fingerprint == row.evaluation_fingerprint
    save_annotations(moved, Annotations.from_arrays(arrays | {"scale": arrays["scale"] * np.float32(1 + 1e-6)}))
    with pytest.raises(UserError, match="1 of 1 rows"):
        table.run(verify)
    assert f"does NOT hold: the annotations of {row.evaluated_on} have changed since" in capsys.readouterr().out

    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(UserError, match="1 of 1 rows"):
        table.run(verify)
    assert "cannot be verified" in (said := capsys.readouterr().out)
    assert "its hash differs" in said


def test_errors_on_a_part_of_a_set_are_named_after_it_marked_and_never_the_best(
    home: Path, rendered: Path, run_dir: Path, quick: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {name: value for name, value in summarize_run(run_dir).epochs[1].items() if name.startswith("synthetic/")}
    limit = "+data.evaluation.synthetic.limit"
    people = len(load_annotations(rendered / "val.npz"))
    for few in (1, people):  # the second is no limit
        options = ("data.workers=0", "tracking=journal", "device=cpu", f"{limit}={few}")
        (figures,) = evaluate.run(compose("evaluate", f"run={run_dir}", f"data.root={rendered}", *options))
        assert any(name.startswith("synthetic-first-1/") for name in figures) == (few == 1)
        assert any(name.startswith("synthetic/") for name in figures) == (few == people)
    assert "note: synthetic-first-1 is a part of its set" in capsys.readouterr().err
    partly = train.run(compose("train", *quick, "trainer.epochs=1", f"{limit}=1"))
    uri = store_in(home)
    for each in (run_dir, partly):
        replay(each, uri)

    without, of_whole = read_rows(uri, "hmr_light")  # the newest first
    assert of_whole.evaluated_on == "synthetic"
    assert of_whole["mpjpe_mm"] == pytest.approx(whole["synthetic/mpjpe_mm"], abs=1e-2)
    assert (of_whole.can_be_best, without["mpjpe_mm"]) == (True, None)
    assert Path(of_whole.run_dir) == run_dir
    parts = read_rows(uri, "hmr_light", evaluated_on="synthetic-first-1")
    assert [row.state for row in parts] == ["part", "part"]
    assert not any(row.can_be_best for row in parts)
    assert all(row["mpjpe_mm"] is not None for row in parts)
    first = fingerprint(load_annotations(rendered / "val.npz").first(1))
    assert {row.evaluation_fingerprint for row in parts} == {first}
    marked = comparison_table(parts)
    assert not any(cell.is_best for cells in marked.rows for cell in cells)
    assert marked.winner is None

    table.run(compose("table", "format=csv", "verify=true", f"tracking.uri={uri}", "evaluated_on=synthetic-first-1"))
    assert capsys.readouterr().out.count(": holds (within ") == 2
