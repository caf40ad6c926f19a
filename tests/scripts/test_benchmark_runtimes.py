"""The tables of runtimes: what is measured of the package's models, and how a figure is shown."""

from __future__ import annotations

from pathlib import Path

import benchmark_runtimes as script
import pytest


def test_each_model_of_the_package_is_measured_in_the_precisions_that_it_has(home: Path) -> None:
    found = {(one.name, one.precision) for one in script.cases() if one.table == "zoo"}
    assert ("mobile", "float32") in found
    assert {precision for name, precision in found if name == "pocket_shared"} == {"codebook"}
    assert ("mobile", "int8") not in found
    listed = home / "runtimes" / "compressed.json"
    listed.parent.mkdir()
    listed.write_text('{"mobile int8": "epoch-000.pt"}')
    (case,) = [one for one in script.cases() if one.name == "mobile" and one.precision == "int8"]
    assert case.path == Path("epoch-000.pt")


def test_a_row_shows_ratio_size_and_error_and_rows_go_by_name_and_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    begin, end = script.BEGIN.format("zoo"), script.END.format("zoo")
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(script, "PAGE", page)
    one = {"faster": [21.62, 21.11, 22.34], "bytes": 9_580_800, "mpjpe_mm": 139.37}
    reason = {"reason": "weights in float32 alone: more words"}
    script.write_page(
        {
            "zoo b int8": {"image_size": 192, "onnx": one, "executorch": reason},
            "zoo b float32": {"image_size": 192, "executorch": {"faster": [2, 1, 3]}},
            "zoo a int8": {"image_size": 64, "onnx": one},
        }
    )
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{end}\nafter\n")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows == [
        "| model | precision | ONNX Runtime | ExecuTorch |",
        "| a (64) | int8 | 21.6 (21.1–22.3), 9,581 kB, 139.4 mm |  |",
        "| b (192) | float32 |  | 2.0 (1.0–3.0) |",
        "| b (192) | int8 | 21.6 (21.1–22.3), 9,581 kB, 139.4 mm | weights in float32 alone |",
    ]
