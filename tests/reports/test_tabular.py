"""Rows of figures as text: rounded for people, exact for programs."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from support.rows import random_rows

from hmr_light.errors import UserError
from hmr_light.reports.comparison import HEADERS, comparison_table
from hmr_light.reports.rows import FIELDS
from hmr_light.reports.tabular import Column, deliver, tabulate, write

COLUMNS = {"model": Column("Model"), "time_s": Column("Time(ms)", lambda seconds: f"{1000 * seconds:.1f}")}
ROWS = [{"model": "a|b", "time_s": 0.123456789012345, "hidden": 1}, {"model": "c,d", "time_s": 2.0, "hidden": 2}]
FACTS = {"cpu": "some", "environment": {"python": "3.12", "torch": "2"}, "sizes": [1, 8]}
TABLE = tabulate(ROWS, COLUMNS, FACTS)
FORMATS = ("markdown", "csv", "json", "latex", "html")


def test_markdown_is_for_people() -> None:
    assert write(TABLE, "markdown").splitlines() == [
        "|Model|Time(ms)|",
        "|:---|---:|",
        "|a\\|b|123.5|",
        "|c,d|2000.0|",
        "",
        "cpu: some  ",
        "environment: python 3.12, torch 2  ",
        "sizes: 1, 8  ",
    ]


def test_csv_and_json_are_exact() -> None:
    read = list(csv.DictReader(io.StringIO(write(TABLE, "csv"))))
    assert [(row["model"], float(row["time_s"])) for row in read] == [(row["model"], row["time_s"]) for row in ROWS]
    content = json.loads(write(TABLE, "json"))
    assert content == FACTS | {"rows": [{name: row[name] for name in COLUMNS} for row in ROWS]}


@pytest.mark.parametrize(
    ("name", "format", "begins"),
    [
        ("out.json", "terminal", "{"),
        ("out.csv", "terminal", "model,time_s"),
        ("out.md", "terminal", "|Model|"),
        ("out.txt", "csv", "model,time_s"),
        ("out.csv", "json", "{"),
    ],
)
def test_a_files_suffix_says_what_is_written_unless_the_format_does(
    name: str, format: str, begins: str, tmp_path: Path
) -> None:
    deliver(TABLE, format, tmp_path / name)
    assert (tmp_path / name).read_text().startswith(begins)


def test_a_pipe_gets_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(TABLE, "terminal", None)
    assert capsys.readouterr().out == write(TABLE, "markdown")


def test_a_file_that_cannot_be_written_is_the_users_error() -> None:
    with pytest.raises(UserError, match="cannot write"):
        deliver(TABLE, "csv", Path("/proc/nowhere/out.csv"))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("language", ["en", "ko"])
def test_programs_get_every_digit_of_the_comparison(seed: int, language: str) -> None:
    rows = random_rows(seed)
    table = comparison_table(rows, language)
    read = list(csv.reader(io.StringIO(write(table, "csv"))))
    assert read[0][:6] == list(HEADERS[language])
    for each, line in zip(rows, read[1:], strict=True):
        cells = dict(zip(read[0], line, strict=True))
        assert line[:2] == [each.model, each.pt]
        assert line[3] == ("" if each["mpjpe_mm"] is None else repr(each["mpjpe_mm"])), "all digits"
        assert cells["git_commit"] == each.git_commit
        assert cells["sha256"] == each.sha256
    value = json.loads(write(table, "json"))
    assert value["headers"] == list(HEADERS[language])
    assert (value["heading"], value["notes"]) == (table.heading, table.notes)
    for index, (each, listed) in enumerate(zip(rows, value["rows"], strict=True)):
        assert listed["winner"] == (index == table.winner)
        assert all(listed[name] == each[name] for name in [*FIELDS, *each.figures])


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_rows_give_the_same_bytes(format: str) -> None:
    for seed in range(5):
        texts = {write(comparison_table(random_rows(seed), "ko"), format) for _ in range(3)}
        assert len(texts) == 1
        assert next(iter(texts)).endswith("\n")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_missing_for_programs(value: float) -> None:
    table = tabulate([{"model": "m", "time_s": value}], COLUMNS, {"load": value, "nested": {"list": [value, 1]}})
    content = json.loads(write(table, "json"))
    assert content == {"load": None, "nested": {"list": [None, 1]}, "rows": [{"model": "m", "time_s": None}]}
    assert list(csv.reader(io.StringIO(write(table, "csv"))))[1] == ["m", ""]


def test_what_must_be_known_first_is_told_beside_the_output(capsys: pytest.CaptureFixture[str]) -> None:
    table = comparison_table(random_rows(0))
    deliver(table, "csv", None)
    captured = capsys.readouterr()
    assert captured.out == write(table, "csv")
    assert captured.err == f"{table.heading}\n"
