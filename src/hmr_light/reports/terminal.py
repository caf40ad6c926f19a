"""The comparison table on a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from hmr_light.reports.layout import lay_out
from hmr_light.reports.rows import Row


def show_table(rows: Sequence[Row], language: str, console: Console, columns: Sequence[str] = ()) -> None:
    """Print the table with its marks in colour. Headers fold where the terminal is narrow, figures never."""
    laid_out = lay_out(rows, language, columns)
    shown = Table(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column, header in enumerate(laid_out.headers):
        justify = "right" if laid_out.is_number[column] else "left"
        shown.add_column(Text(header, overflow="fold"), justify=justify)  # type: ignore[arg-type]
    for index, (row, cells) in enumerate(zip(rows, laid_out.rows, strict=True)):
        texts = [Text(cell.text, style="bold green" if cell.is_best else "") for cell in cells]
        ends_group = index + 1 < len(rows) and rows[index + 1].model != row.model
        shown.add_row(*texts, style="bold" if index == laid_out.winner else "", end_section=ends_group)
    if Measurement.get(console, console.options.update(max_width=1000), shown).maximum > console.width:
        for column, spec in enumerate(shown.columns):
            spec.width = max(7, *(cell_len(cells[column].text) for cells in laid_out.rows))
            spec.header = Text(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", laid_out.headers[column]), overflow="fold")
    console.print(shown)
    for note in laid_out.notes:
        console.print(Text(note, style="dim"))
