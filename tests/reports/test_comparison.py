"""The marks of the comparison table: the best of each column and of all, found again by a plain search."""

from __future__ import annotations

import math
import random

import pytest
from support.records import checkpoint, run
from support.rows import random_rows, table_row

from hmr_light.reports.comparison import HEADERS, comparison_table
from hmr_light.reports.rows import make_rows
from hmr_light.tracking.records import CheckpointRecord, Point


@pytest.mark.parametrize("seed", range(30))
def test_the_marks_are_those_of_a_plain_search(seed: int) -> None:
    rows = random_rows(seed)
    table = comparison_table(rows)
    trained = [each for each in rows if each["parameters"] != 0]
    for column, name, digits in ((2, "parameters", 0), (3, "mpjpe_mm", 1), (4, "reconstruction_error_mm", 1)):
        values = [each[name] for each in trained if each[name] is not None]
        for each, cells in zip(rows, table.rows, strict=True):
            value = each[name]
            best = (
                bool(values)
                and value is not None
                and each in trained
                and f"{value:.{digits}f}" == f"{min(values):.{digits}f}"
            )
            assert cells[column].is_best == best, f"seed {seed}"
    errors = [each["mpjpe_mm"] for each in trained if each["mpjpe_mm"] is not None]
    marked = [index for index, cells in enumerate(table.rows) if cells[0].text.startswith(">>>")]
    assert marked == ([] if table.winner is None else [table.winner])
    if errors:
        assert table.winner is not None
        assert rows[table.winner]["mpjpe_mm"] == min(errors), f"seed {seed}"
        assert rows[table.winner]["parameters"] != 0, f"seed {seed}"
    else:
        assert table.winner is None


@pytest.mark.parametrize("state", ["diverged", "constant", "1 of 3 diverged"])
def test_a_row_with_a_state_is_never_the_best_and_says_its_state(state: str) -> None:
    rows = [table_row("bad", state=state, parameters=1, mpjpe_mm=1.0, inference_time_s=0.001), table_row("good")]
    table = comparison_table(rows)
    assert table.headers == (*HEADERS["en"], "state")
    assert [cells[-1].text for cells in table.rows] == [state, ""]
    assert not any(cell.is_best for cell in table.rows[0])
    assert (table.winner, table.rows[1][0].text) == (1, ">>>good<<<")
    assert [cell.is_best for cell in table.rows[1][2:6]] == [True] * 4
    assert comparison_table(rows[:1]).winner is None, "nor where it is alone"
    assert any(note.startswith(state.split()[-1]) for note in table.notes)


@pytest.mark.parametrize("seed", range(10))
def test_no_figure_that_is_not_finite_is_shown_or_compared(seed: int) -> None:
    draw = random.Random(seed)
    broken = [math.nan, math.inf, -math.inf, 1.7976931348623157e308]
    values = {name: draw.choice([*broken, draw.uniform(50, 60)]) for name in "abcdef"}
    rows = make_rows([run(name, name) for name in values], [checkpoint(n, 1, val=v) for n, v in values.items()], "best")
    table = comparison_table(rows)
    good = {name: value for name, value in values.items() if 50 <= value <= 60}
    for row, cells in zip(rows, table.rows, strict=True):
        assert (row["mpjpe_mm"], row.state) == ((good[row.model], "") if row.model in good else (None, "diverged"))
        assert cells[3].text == (f"{good[row.model]:.1f}" if row.model in good else "–")
    winner = None if table.winner is None else rows[table.winner].model
    assert winner == min(good, key=lambda name: good[name], default=None), f"seed {seed}"


def test_a_time_of_a_contended_core_is_marked_and_not_the_best() -> None:
    quick = table_row("a", inference_time_s=0.001, inference_cpu_share=0.89)
    rows = [quick, table_row("b", inference_cpu_share=0.9), table_row("c", inference_time_s=0.03)]
    table = comparison_table(rows)
    assert [cells[5].text for cells in table.rows] == ["~0.00100", "0.02000", "0.03000"]
    assert [cells[5].is_best for cells in table.rows] == [False, True, False]
    assert table.winner == 1, "nor does it decide between equal errors"
    assert [record["inference_time_mark"] for record in table.records] == ["~", "", ""]
    assert any(note.startswith("~") for note in table.notes)
    assert not any(note.startswith("~") for note in comparison_table(rows[1:]).notes)
    unmeasured = table_row(inference_time_s=None, inference_cpu_share=0.1)
    assert comparison_table([unmeasured]).rows[0][5].text == "–"


def test_where_rows_started_is_shown_if_they_differ() -> None:
    alike = [table_row(start="random"), table_row(start="random"), table_row(parameters=0)]
    assert comparison_table(alike).headers == HEADERS["en"]
    table = comparison_table([*alike, table_row(start="imagenet")], columns=["start", "seed"])
    assert table.headers == (*HEADERS["en"], "start", "seed")
    assert [cells[6].text for cells in table.rows] == ["random", "random", "", "imagenet"]


def test_errors_in_2d_choose_the_checkpoint_and_the_best_row_and_are_shown_unasked() -> None:
    draw = random.Random()
    errors = {(name, epoch): draw.uniform(5, 20) for name in "ab" for epoch in (1, 2, 3)}

    def written(name: str, epoch: int) -> CheckpointRecord:
        error = errors[name, epoch]
        values = {"error_2d_percent": error, "pck2d_05_percent": 100 - 3 * error, "pck2d_10_percent": 100 - error}
        points = [Point(f"{place}{metric}", value, 1) for metric, value in values.items() for place in ("", "own/")]
        return CheckpointRecord(name, {"epoch": str(epoch), "saved": "260101-000000"}, points)

    rows = make_rows([run(name, name) for name in "ab"], [written(*each) for each in errors], "best")
    for row in rows:
        assert row.epoch == min((1, 2, 3), key=lambda epoch: errors[row.model, epoch])
        assert (row.evaluated_on, row.evaluation_sets, row.state) == ("own", "own", "")
    table = comparison_table(rows)
    assert table.headers == (*HEADERS["en"], "error_2d_percent", "pck2d_05_percent", "pck2d_10_percent")
    assert table.winner is not None
    assert rows[table.winner]["error_2d_percent"] == min(errors.values())
    assert any(note.startswith("error_2d_percent: ") for note in table.notes)
    assert comparison_table(rows, "ko").winner == table.winner
