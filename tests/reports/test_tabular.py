"""Rows of figures as text: rounded for people, exact for programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from hmr_light.errors import UserError
from hmr_light.reports.tabular import Column, deliver, write

COLUMNS = {"model": Column("Model"), "time_s": Column("Time(ms)", lambda seconds: f"{1000 * seconds:.1f}")}
ROWS = [{"model": "a|b", "time_s": 0.123456789012345, "hidden": 1}, {"model": "c,d", "time_s": 2.0, "hidden": 2}]
FACTS = {"cpu": "some", "environment": {"python": "3.12", "torch": "2"}, "sizes": [1, 8]}


def test_markdown_is_for_people() -> None:
    assert write(ROWS, COLUMNS, FACTS, "markdown").splitlines() == [
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
    read = list(csv.DictReader(io.StringIO(write(ROWS, COLUMNS, FACTS, "csv"))))
    assert [(row["model"], float(row["time_s"])) for row in read] == [(row["model"], row["time_s"]) for row in ROWS]
    content = json.loads(write(ROWS, COLUMNS, FACTS, "json"))
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
    deliver(ROWS, COLUMNS, FACTS, format, tmp_path / name)
    assert (tmp_path / name).read_text().startswith(begins)


def test_a_pipe_gets_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    deliver(ROWS, COLUMNS, FACTS, "terminal", None)
    assert capsys.readouterr().out == write(ROWS, COLUMNS, FACTS, "markdown")


def test_a_file_that_cannot_be_written_is_the_users_error() -> None:
    with pytest.raises(UserError, match="cannot write"):
        deliver(ROWS, COLUMNS, FACTS, "csv", Path("/proc/nowhere/out.csv"))


def test_no_figure_is_cut_off_in_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    deliver([{"model": "a_network_with_a_long_name", "time_s": 12.3456}], COLUMNS, {}, "terminal", None)
    shown = capsys.readouterr().out
    assert "a_network_with_a_long_name" in shown
    assert "12345.6" in shown
