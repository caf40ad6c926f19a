"""Rows of figures as text: for people (terminal, markdown) rounded, for programs (csv, json) exact."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmr_light.paths import atomic_write

FORMATS = ("terminal", "markdown", "csv", "json")


class Column(NamedTuple):
    """How a reader sees one figure of each row."""

    header: str
    show: Callable[[Any], str] = str


Record = Mapping[str, Any]
Columns = Mapping[str, Column]


def deliver(rows: Sequence[Record], columns: Columns, facts: Mapping[str, Any], format: str, out: Path | None) -> None:
    """Write `rows`, and the `facts` that all of them depend on, to the file `out`, else to the terminal or the pipe.

    With format `terminal`, a pipe gets markdown, and a file what its suffix says. Raises `UserError` for a file that
    cannot be written.
    """
    if out is None and format == "terminal" and sys.stdout.isatty():
        _print(rows, columns, facts)
        return
    if format == "terminal":
        suffix = out.suffix.removeprefix(".") if out else ""
        format = suffix if suffix in FORMATS else "markdown"
    text = write(rows, columns, facts, format)
    if out is None:
        sys.stdout.write(text)
        return
    with atomic_write(out.expanduser()) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {len(rows)} rows", file=sys.stderr)


def write(rows: Sequence[Record], columns: Columns, facts: Mapping[str, Any], format: str) -> str:
    """`rows` as `markdown`, `csv` (without the facts) or `json`, ending in a newline."""
    match format:
        case "markdown":
            return _markdown(rows, columns, facts)
        case "csv":
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([row[name] for name in columns] for row in rows)
            return text.getvalue()
        case "json":
            listed = [{name: row[name] for name in columns} for row in rows]
            return json.dumps({**facts, "rows": listed}, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
    raise ValueError(f"there is no format {format!r}")


def _markdown(rows: Sequence[Record], columns: Columns, facts: Mapping[str, Any]) -> str:
    def line(texts: Sequence[str]) -> str:
        return "|" + "|".join(texts) + "|"

    lines = [line([column.header for column in columns.values()]), line([":---", *["---:"] * (len(columns) - 1)])]
    lines += [line([text.replace("|", "\\|") for text in _shown(row, columns)]) for row in rows]
    return "\n".join([*lines, "", *(f"{name}: {_fact(value)}  " for name, value in facts.items())]) + "\n"


def _print(rows: Sequence[Record], columns: Columns, facts: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(header_style="bold")
    for index, column in enumerate(columns.values()):
        table.add_column(Text(column.header.replace(" ", "\n")), justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, _shown(row, columns)))
    console = Console()
    # Wider than the terminal, rather than with figures cut off.
    console.width = max(console.width, console.measure(table, options=console.options.update(width=10_000)).maximum)
    console.print(table)
    for name, value in facts.items():
        console.print(Text(f"{name}: {_fact(value)}", style="dim"))


def _shown(row: Record, columns: Columns) -> list[str]:
    return [column.show(row[name]) for name, column in columns.items()]


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
