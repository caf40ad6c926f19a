"""Tables on a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hmr_light.reports.cells import Table


def show_table(table: Table, console: Console) -> None:
    """Print the table with its marks in colour; words and figures are never cut.

    Where the terminal is too narrow for a line a row, headers fold between words, then the two first columns stand in
    one, at last each value has its own line.
    """
    if table.heading:
        show_text(table.heading, console, style="dim")
    folded = replace(table, headers=[_folded(table, at) for at in range(len(table.headers))])
    wide = console.options.update(max_width=10_000)
    layouts = map(_lines, (table, folded, _joined(folded)))
    fitting = (one for one in layouts if console.measure(one, options=wide).maximum <= console.width)
    if (shown := next(fitting, None)) is not None:
        console.print(shown)
    else:
        _show_values(table, console)
    for note in table.notes:
        show_text(note, console, style="dim")


def show_text(text: str, console: Console, start: str = "", style: str = "", indent: int | None = None) -> None:
    """Print `start` and `text`, folded between words alone; a word that is longer than a line is left to the terminal.

    Every line of the text begins below the first one, or after `indent` columns.
    """
    indent = cell_len(start) if indent is None else indent
    for line in text.splitlines():
        for folded in fold(line.split(), max(20, console.width - indent)):
            console.print(Text(start), Text(folded, style), sep="", soft_wrap=True)
            start = " " * indent


def fold(words: Sequence[str], width: int) -> list[str]:
    """The words on as few lines as have `width` columns; a word that is longer has a line of its own, uncut."""
    lines: list[str] = []
    for word in words:
        joined = f"{lines[-1]}{'' if lines[-1].endswith('_') else ' '}{word}" if lines else ""
        if lines and cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _lines(table: Table) -> RichTable:
    """A line for each row."""
    shown = RichTable(box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for at, (header, is_number) in enumerate(zip(table.headers, table.is_number, strict=True)):
        width = max(_width(header), _widest(table, at))
        shown.add_column(Text(header), justify="right" if is_number else "left", no_wrap=True, width=width)
    for index, cells in enumerate(table.rows):
        texts = [Text(cell.text, style="bold green" if cell.is_best else "") for cell in cells]
        style = "bold" if index == table.winner else ""
        shown.add_row(*texts, style=style, end_section=index in table.section_ends)
    return shown


def _folded(table: Table, at: int) -> str:
    """A header on several lines, no wider than its column needs: folded between words, capitals, after underscores."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=_)(?=\w)", " ", table.headers[at]).split()
    return "\n".join(fold(words, max(_widest(table, at), *map(cell_len, words))))


def _joined(table: Table) -> Table:
    """The table with its two first columns, if they are texts, above each other in one."""
    if any(table.is_number[:2]) or len(table.headers) < 3:
        return table
    rows = [[replace(cells[0], text=f"{cells[0].text}\n{cells[1].text}"), *cells[2:]] for cells in table.rows]
    headers = ["\n".join(table.headers[:2]), *table.headers[2:]]
    return replace(table, headers=headers, is_number=table.is_number[1:], rows=rows)


def _show_values(table: Table, console: Console) -> None:
    """A line for each value, below the first one of its row."""
    side = max(map(cell_len, table.headers))
    for index, cells in enumerate(table.rows):
        console.print(Text(cells[0].text, style="bold green" if index == table.winner else "bold"), soft_wrap=True)
        for header, cell in zip(table.headers[1:], cells[1:], strict=True):
            if cell.text:
                padded = f"  {header}{' ' * (side - cell_len(header))}  "
                show_text(cell.text, console, padded, "bold green" if cell.is_best else "")
    console.print()


def _widest(table: Table, at: int) -> int:
    return max((_width(cells[at].text) for cells in table.rows), default=0)


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))
