"""`hmr-light table`: the runs in MLflow → the comparison table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hmr_light.config.schema import TableConfig
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write
from hmr_light.reports.layout import lay_out
from hmr_light.reports.rows import Row, read_rows
from hmr_light.reports.table import write_table

FORMAT_OF_SUFFIX = {".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html"}


def run(config: TableConfig) -> None:
    """Rebuild the table: to `config.out`, else to the terminal or the pipe."""
    if not config.tracking.uri:
        raise UserError("tracking.uri is null: there is no store to read", "Choose tracking=local or tracking=server.")
    rows = read_rows(config.tracking.uri, config.tracking.experiment, config.rows)
    if config.out is None and config.format == "terminal" and sys.stdout.isatty():
        _show(rows, config.language)
        return
    format = config.format
    if format == "terminal":
        format = FORMAT_OF_SUFFIX.get(config.out.suffix, "markdown") if config.out else "markdown"
    text = write_table(rows, format, config.language)
    if config.out is None:
        sys.stdout.write(text)
        return
    out = Path(config.out).expanduser()
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {len(rows)} rows", file=sys.stderr)


def _show(rows: Sequence[Row], language: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    laid_out = lay_out(rows, language)
    shown = Table(header_style="bold", title_justify="left")
    for column, header in enumerate(laid_out.headers):
        shown.add_column(Text(header), justify="right" if column >= 2 else "left", no_wrap=True)
    for index, (row, cells) in enumerate(zip(rows, laid_out.rows, strict=True)):
        texts = [Text(cell.text, style="bold green" if cell.is_best else "") for cell in cells]
        ends_group = index + 1 < len(rows) and rows[index + 1].model != row.model
        shown.add_row(*texts, style="reverse" if index == laid_out.winner else "", end_section=ends_group)
    console = Console()
    console.print(shown)
    for note in laid_out.notes:
        console.print(Text(note, style="dim"))
