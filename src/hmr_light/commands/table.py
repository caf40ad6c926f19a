"""`hmr-light table`: the runs in MLflow → the comparison table."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from hmr_light.config.schema import TableConfig
from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import atomic_write
from hmr_light.reports.groups import combine_seeds
from hmr_light.reports.layout import TRACE
from hmr_light.reports.rows import Row, read_rows
from hmr_light.reports.table import write_table
from hmr_light.reports.terminal import show_table

FORMAT_OF_SUFFIX = {".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html"}


def run(config: TableConfig) -> None:
    """Rebuild the table: to `config.out`, else to the terminal or the pipe."""
    if not config.tracking.uri:
        raise UserError("tracking.uri is null: there is no store to read", "Choose tracking=local or tracking=server.")
    _check(config.columns)
    each = read_rows(config.tracking.uri, config.tracking.experiment, config.rows, config.evaluated_on)
    rows = combine_seeds(each, same_epoch=config.rows == "all") if config.group else each
    _write(rows, config)
    if config.verify:
        from hmr_light.commands.verification import verify_rows  # torch: the table alone does without

        verify_rows(each)


def _check(columns: list[str]) -> None:
    for name in columns:
        if name not in TRACE:
            raise UserError(f"columns: there is no '{name}'", did_you_mean(name, TRACE))


def _write(rows: list[Row], config: TableConfig) -> None:
    if config.out is None and config.format == "terminal" and sys.stdout.isatty():
        show_table(rows, config.language, Console(), config.columns)
        return
    format = config.format
    if format == "terminal":
        format = FORMAT_OF_SUFFIX.get(config.out.suffix, "markdown") if config.out else "markdown"
    text = write_table(rows, format, config.language, config.columns)
    if config.out is None:
        sys.stdout.write(text)
        return
    out = Path(config.out).expanduser()
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    print(f"{out}: {len(rows)} rows", file=sys.stderr)
