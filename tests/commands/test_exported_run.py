"""An exported file is evaluated as a checkpoint is, and what is measured of it is a row of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.cli import compose
from support.small_run import journal

from hmr_light.commands.evaluate import run as evaluate


def test_a_file_has_the_figures_of_its_model_in_a_run_of_its_own(
    exported: Path, rendered: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small.onnx"
    shutil.copy(exported, file)
    checkpoint = exported.parent / "checkpoints" / "epoch-003.pt"
    shutil.copy(checkpoint, tmp_path / "small.pt")
    options = ["tracking=journal", f"data.root={rendered}", "data.workers=0", "threads=1", "device=cpu"]
    (of_file,), (of_model,) = (
        evaluate(compose("evaluate", f"checkpoint={tmp_path / name}", *options)) for name in ("small.onnx", "small.pt")
    )
    for name, value in of_file.items():
        assert value == pytest.approx(of_model[name], abs=0.01), name
    assert of_file["synthetic/mpjpe_mm"] > 50
    printed = capsys.readouterr()
    assert " onnx float32" in printed.out

    entries = journal(tmp_path / "small.onnx.run")
    tags = {key: value for entry in entries if entry["kind"] == "tags" for key, value in entry["values"].items()}
    assert tags["hmr_light.row"] == "small onnx float32"
    (measured,) = (entry for entry in entries if entry["kind"] == "checkpoint")
    assert (tmp_path / "small.onnx.run" / measured["path"]).samefile(file)
    assert measured["step"] == 3
    assert measured["values"]["synthetic/mpjpe_mm"] == of_file["synthetic/mpjpe_mm"]
    assert (tmp_path / "small.onnx.run" / "predictions-synthetic.png").is_file()

    # Again: the same run goes on.
    before = len(entries)
    evaluate(compose("evaluate", f"checkpoint={file}", *options, "+data.evaluation.synthetic.limit=4"))
    entries = journal(tmp_path / "small.onnx.run")
    assert len(entries) > before
    assert sum(entry["kind"] == "run" for entry in entries) == 1
    assert sum("parameters" in entry.get("values", {}) for entry in entries) == 1
