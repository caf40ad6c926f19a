"""Tables on a terminal: no figure is cut off, however narrow it is."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from support.rows import random_rows

from hmr_light.reports.cells import Table
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.tabular import Column, tabulate
from hmr_light.reports.terminal import show_table, show_text


def shown(table: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    show_table(table, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
def test_no_word_and_no_figure_is_cut_at_any_width(seed: int, width: int) -> None:
    rows = [dataclasses.replace(each, model="squeezenet1_0_simple_bypass") for each in random_rows(seed)]
    table = comparison_table(rows, columns=["spread_labels_mm", "seed"])
    lines = shown(table, width).splitlines()
    words = [word for line in lines for word in line.split()]
    for cells in table.rows:
        for cell in cells:
            assert set(cell.text.split()) <= set(words), f"seed {seed}: {cell.text}"
    # Headers fold between their words alone: as a whole, or in parts.
    assert "ReconstructionError" in words or {"Reconstruction", "Error"} <= set(words)
    assert "spread_labels_mm" in words or {"spread_", "labels_", "mm"} <= set(words)
    longest = max(map(cell_len, words))
    assert all(cell_len(line) <= max(width, longest + 24) for line in lines)
    if width == 200:
        assert any(line.split() == list(table.headers) for line in lines)


def test_a_text_folds_between_its_words_and_stays_below_its_beginning() -> None:
    console = Console(width=40, file=io.StringIO(), color_system=None)
    text = "a word, /a/path/that/is/longer/than/a/line/of/this/terminal and [brackets] that are text\nsecond"
    show_text(text, console, "title  ")
    assert isinstance(console.file, io.StringIO)
    first, *others = console.file.getvalue().splitlines()
    assert first == "title  a word,"
    assert all(line.startswith(" " * 7) and not line[7:].startswith(" ") for line in others)
    assert [word for line in (first, *others) for word in line.split()] == ["title", *text.split()]
    assert others[-1] == " " * 7 + "second"


def test_what_must_be_known_first_stands_first() -> None:
    table = dataclasses.replace(comparison_table(random_rows(0)), heading="read me")
    assert shown(table, 200).startswith("read me\n")


def test_records_of_any_command_are_shown_whole() -> None:
    columns = {"model": Column("Model"), "time_s": Column("Time of an image(ms)", lambda s: f"{1000 * s:.1f}")}
    table = tabulate([{"model": "a_network_with_a_long_name", "time_s": 12.3456}], columns, {"cpu": "some"})
    text = shown(table, 20)
    assert "a_network_with_a_long_name" in text
    assert "12345.6" in text
    assert "cpu: some" in text
