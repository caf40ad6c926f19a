"""Tables on a terminal."""

from __future__ import annotations

import re

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hmr_light.reports.cells import Table


def show_table(table: Table, console: Console) -> None:
    """Print the table with its marks in colour. Headers fold where the terminal is narrow, figures never."""
    if table.heading:
        console.print(Text(table.heading, style="dim"))
    shown = RichTable(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for header, is_number in zip(table.headers, table.is_number, strict=True):
        shown.add_column(Text(header, overflow="fold"), justify="right" if is_number else "left", no_wrap=True)
    for index, cells in enumerate(table.rows):
        texts = [Text(cell.text, style="bold green" if cell.is_best else "") for cell in cells]
        style = "bold" if index == table.winner else ""
        shown.add_row(*texts, style=style, end_section=index in table.section_ends)
    if _width(shown, console) > console.width:
        for column, spec in enumerate(shown.columns):
            spec.no_wrap = False
            spec.width = max(7, *(cell_len(cells[column].text) for cells in table.rows))
            spec.header = Text(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", table.headers[column]), overflow="fold")
        # Wider than the terminal, rather than with figures cut off.
        console.width = max(console.width, _width(shown, console))
    console.print(shown)
    for note in table.notes:
        console.print(Text(note, style="dim"))


def _width(shown: RichTable, console: Console) -> int:
    return console.measure(shown, options=console.options.update(max_width=10_000)).maximum
