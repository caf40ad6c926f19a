"""The one writer of tables: for people (terminal, markdown, LaTeX, HTML) rounded, for programs (csv, json) exact."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hmr_light.paths import atomic_write
from hmr_light.reports.cells import Cell, Table, printable
from hmr_light.reports.html import html_page
from hmr_light.reports.markup import latex, markdown

FORMAT_OF_SUFFIX = {".md": "markdown", ".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html"}


class Column(NamedTuple):
    """How a reader sees one value of each record."""

    header: str
    show: Callable[[Any], str] = str


Record = Mapping[str, Any]
Columns = Mapping[str, Column]


def tabulate(records: Sequence[Record], columns: Columns, facts: Mapping[str, Any]) -> Table:
    """A table with a row for each of `records`, and the `facts` that all of them depend on."""
    return Table(
        headers=[column.header for column in columns.values()],
        is_number=[index > 0 for index in range(len(columns))],
        rows=[[Cell(column.show(one[name]), value=one[name]) for name, column in columns.items()] for one in records],
        records=[{name: one[name] for name in columns} for one in records],
        csv_header=list(columns),
        facts=facts,
        notes=[f"{name}: {_fact(value)}" for name, value in facts.items()],
    )


def deliver(table: Table, format: str, out: Path | None) -> None:
    """Write `table` to the file `out`, else to the terminal or the pipe.

    With format `terminal`, a pipe gets markdown, and a file what its suffix says. Raises `UserError` for a file that
    cannot be written.
    """
    if out is None and format == "terminal" and sys.stdout.isatty():
        from rich.console import Console

        from hmr_light.reports.terminal import show_table

        show_table(table, Console())
        return
    if format == "terminal":
        format = FORMAT_OF_SUFFIX.get(out.suffix, "markdown") if out else "markdown"
    text = write(table, format)
    if table.heading and format != "html":
        print(table.heading, file=sys.stderr)
    if out is None:
        sys.stdout.write(text)
        return
    with atomic_write(out.expanduser()) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {len(table.rows)} rows", file=sys.stderr)


def write(table: Table, format: str) -> str:
    """The table as `markdown`, `csv` (without facts and notes), `json`, `latex` or `html`, ending in a newline.

    Names are the users': what a reader of the format would take for a mark, a tag, a command or a formula is written so
    that it is none. The same table gives the same bytes.
    """
    match format:
        case "markdown":
            text = markdown(table)
        case "csv":
            text = _csv(table)
        case "json":
            value = _without_gaps({**table.facts, "rows": table.records})
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2) + "\n"
        case "latex":
            text = latex(table)
        case "html":
            text = html_page(table)
        case _:
            raise ValueError(f"there is no format {format!r}")
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair is no text


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.csv_header)
    writer.writerows([_no_formula(_without_gaps(value)) for value in record.values()] for record in table.records)
    return text.getvalue()


def _no_formula(value: object) -> object:
    # A spreadsheet would run what begins so; https://owasp.org/www-community/attacks/CSV_Injection
    text = printable(value) if isinstance(value, str) else ""
    if text.lstrip().startswith(tuple("=+-@＝＋－＠")):
        return f"'{text}"
    return text or value


def _without_gaps(value: Any) -> Any:
    """`value` with None for each number that is not finite, however nested."""
    if isinstance(value, Mapping):
        return {name: _without_gaps(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_gaps(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fact(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
