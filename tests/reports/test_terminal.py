"""Tables on a terminal: no figure is cut off, however narrow it is."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console
from support.rows import random_rows

from hmr_light.reports.cells import Table
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.tabular import Column, tabulate
from hmr_light.reports.terminal import show_table


def shown(table: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    show_table(table, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("width", [30, 80])
def test_a_narrow_terminal_shows_every_figure_whole(seed: int, width: int) -> None:
    table = comparison_table([dataclasses.replace(each, model="squeezenet_100_2") for each in random_rows(seed)])
    lines = shown(table, width).splitlines()
    for cells in table.rows:
        assert any(line.split() == [cell.text for cell in cells] for line in lines), f"seed {seed}"
    if width == 80:
        assert all(len(line) <= 80 for line in lines if line.strip().startswith(("squeezenet", ">>>")))


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
