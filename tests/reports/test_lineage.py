"""Models beside their parents."""

from __future__ import annotations

import random
import re
from pathlib import Path

import cv2
import pytest
from support.rows import table_row

from hmr_light.errors import UserError
from hmr_light.reports.lineage import family_tree, lineage_table
from hmr_light.reports.pareto import Point, draw_pareto, front
from hmr_light.reports.tabular import write

PARENT = table_row("big", run_id="a", sha256="1" * 64, mpjpe_mm=100.0, macs=4e6, disk_bytes=20, inference_ratio=2.0)
EARLIER = table_row("big", epoch=3, run_id="a", sha256="2" * 64, mpjpe_mm=110.0, inference_ratio=2.0)
CHILD = table_row(
    "small", run_id="b", sha256="3" * 64, parent_run="a", parent_checkpoint="2" * 64, mpjpe_mm=112.5,
    parameters=4, parameters_effective=3, macs=1e6, disk_bytes=16, coded_bytes=2, inference_ratio=0.5,
)  # fmt: skip
GRANDCHILD = table_row("smaller", run_id="c", sha256="4" * 64, parent_run="b", parent_checkpoint="3" * 64)
OTHER = table_row("other", run_id="d", sha256="5" * 64, parent_run="mobile", parent_checkpoint="9" * 64, mpjpe_mm=None)


def test_each_row_stands_after_its_parent() -> None:
    rows = [GRANDCHILD, CHILD, OTHER, PARENT]
    tree = family_tree(rows, [*rows, EARLIER])
    assert [(one.row.model, one.depth) for one in tree] == [("other", 0), ("big", 0), ("small", 1), ("smaller", 2)]
    assert [one.parent and one.parent.sha256[0] for one in tree] == [None, None, "2", "3"]


def test_differences_are_to_the_parent_checkpoint_and_bytes_of_the_smallest_file() -> None:
    rows = [PARENT, CHILD, OTHER]
    table = lineage_table(rows, [*rows, EARLIER])
    big, small, other = table.records
    assert small["mpjpe_change_mm"] == 2.5
    assert small["parent"] == f"big {EARLIER.pt}"
    assert (small["bytes"], small["bits"], small["time_ratio"]) == (2, 4.0, 0.25)
    assert (small["parameters"], small["parameters_effective"]) == (4, 3)
    assert (big["bytes"], big["parameters_effective"], big["mpjpe_change_mm"]) == (20, 5, None)
    assert (other["parent"], other["mpjpe_change_mm"], other["time_ratio"]) == ("mobile", None, None)
    assert "> small" in write(table, "csv")


def test_a_row_that_names_itself_as_its_parent_is_shown_once() -> None:
    strange = table_row("x", run_id="a", sha256="1" * 64, parent_run="a", parent_checkpoint="1" * 64)
    assert len(family_tree([strange], [strange])) == 1


def test_the_front_has_what_no_other_is_as_good_as() -> None:
    points = [Point(*one, "", False) for one in ((1, 9), (2, 7), (2, 6), (3, 6), (4, 8), (5, 1))]
    assert [(one.cost, one.error) for one in front(points)] == [(1, 9), (2, 6), (5, 1)]


def test_the_picture_is_drawn_as_png_and_svg_with_any_name(tmp_path: Path) -> None:
    rows = [PARENT, CHILD, OTHER, table_row("<b>&모델", run_id="e", mpjpe_mm=90.0, disk_bytes=7)]
    png, svg = draw_pareto(tmp_path / "pareto.png", rows)
    image = cv2.imread(str(png))
    assert image.std() > 5
    text = svg.read_text()
    assert "&lt;b&gt;&amp;모델" in text
    assert "<b>" not in text
    assert text.count("<circle") == 3 + 2 + 2, "bytes, multiply-accumulates, time"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pareto.png", "pareto.svg"]
    with pytest.raises(UserError, match="no row has both"):
        draw_pareto(tmp_path / "none.png", [OTHER])


def test_names_of_near_dots_are_not_written_over_each_other(tmp_path: Path) -> None:
    rows = [
        table_row(f"model-{number}", mpjpe_mm=100 + random.random(), disk_bytes=1e6 + 9 * number, macs=None)
        for number in range(12)
    ]
    _, svg = draw_pareto(tmp_path / "pareto.png", [*rows, table_row("far", mpjpe_mm=250.0, disk_bytes=1e7, macs=None)])
    found = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)"[^>]*>(model-\d+)<', svg.read_text())
    assert len(found) == 12
    for x, y, anchor, name in found:
        for other_x, other_y, other_anchor, other in found:
            is_beside = anchor != other_anchor and abs(float(x) - float(other_x)) > 10
            assert name == other or abs(float(y) - float(other_y)) > 10 or is_beside, (name, other)
