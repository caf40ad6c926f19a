"""Columns on demand: every figure of the store is one; names without a unit and wrong names; sorting."""

from __future__ import annotations

import random

import pytest
from support.records import run
from support.rows import table_row

from hmr_light.errors import UserError
from hmr_light.reports.columns import column_names, find_column, show, sort_rows
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.rows import make_rows
from hmr_light.tracking.records import CheckpointRecord, Point


def test_every_figure_of_a_checkpoint_is_a_column() -> None:
    figures = {"mpjpe_mm": 90.0, "pck150_percent": 81.26, "auc_percent": 43.0, "tenths_of_my_own": 7.5}
    points = [Point(f"mpi/{name}", value, 1) for name, value in figures.items()]
    points += [Point("loss/total", 0.25, 1), Point("mpjpe_mm", 10.0, 1)]
    points += [Point("other/mpjpe_mm", 80.0, 1), Point("other/pck150_percent", 1.0, 1)]
    tags = {"epoch": "1", "saved": "260101-000000"}
    rows = make_rows([run("a", macs=3e8)], [CheckpointRecord("a", tags, points)], "best", "mpi")
    (row,) = rows
    assert dict(row.figures) == {**figures, "loss/total": 0.25, "macs": 300_000_000}
    assert {"pck150_percent", "loss/total", "tenths_of_my_own", "seed", "pve_mm"} <= set(column_names(rows))
    columns = [find_column(name, rows, "columns") for name in ("pck", "auc", "macs", "loss/total")]
    table = comparison_table(rows, columns=columns)
    assert list(table.headers[6:]) == ["pck150_percent", "auc_percent", "macs", "loss/total"]
    assert [cell.text for cell in table.rows[0][6:]] == ["81.3", "43.0", "300,000,000", "0.25000"]
    assert table.records[0]["pck150_percent"] == 81.26


@pytest.mark.parametrize(
    ("name", "meant"), [("git_comit", "git_commit"), ("mpjpe_m", "mpjpe_mm"), ("pck15_percent", "pck150_percent")]
)
def test_a_wrong_name_is_answered_with_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(UserError, match=rf"columns: there is no '{name}'\n.*Did you mean '{meant}'"):
        find_column(name, [table_row(pck150_percent=80.0)], "columns")


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("by", ["mpjpe_mm", "mpjpe", "-mpjpe_mm", "parameters", "-parameters", "pt", "-seed"])
def test_rows_are_sorted_by_a_column_and_the_unmeasured_come_last(seed: int, by: str) -> None:
    draw = random.Random(seed)
    rows = [
        table_row(
            f"m{at}",
            draw.randrange(1, 30),
            draw.randrange(10),
            seed=str(draw.randrange(12)),
            mpjpe_mm=draw.choice([None, float(draw.randrange(50, 60))]),
        )
        for at in range(12)
    ]
    name = {"mpjpe": "mpjpe_mm"}.get(by.removeprefix("-"), by.removeprefix("-"))
    sign = -1 if by.startswith("-") else 1

    def key(at: int) -> tuple[float, int]:
        row = rows[at]
        value = float(row.seed) if name == "seed" else row.epoch if name == "pt" else row[name]
        return (float("inf") if value is None else sign * value, at)

    expected = [rows[at].model for at in sorted(range(12), key=key)]
    if name == "pt":  # equal epochs: by the time, which the epoch decides here
        assert [row.epoch for row in sort_rows(rows, by)] == sorted(row.epoch for row in rows)
    else:
        assert [row.model for row in sort_rows(rows, by)] == expected, f"seed {seed}"
    with pytest.raises(UserError, match="sort: there is no 'paramters'"):
        sort_rows(rows, "-paramters")


def test_values_are_rounded_for_people() -> None:
    row = table_row(
        pve_mm=123.456, learning_rate=0.0001, macs=300774272, long_count=1234567.0, pck150_percent=81.26, seed="7"
    )
    names = ("pve_mm", "learning_rate", "macs", "long_count", "pck150_percent", "seed", "auc_percent", "parameters")
    assert [show(row, name) for name in names] == [
        "123.5", "0.00010", "300,774,272", "1,234,567", "81.3", "7", "–", "5",
    ]  # fmt: skip
