"""`hmr-light table`: the runs in MLflow → the comparison table."""

from __future__ import annotations

import sys

from hmr_light.commands.experiments import experiment_of
from hmr_light.config.schema import TableConfig
from hmr_light.errors import UserError
from hmr_light.reports.columns import find_column, sort_rows
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.groups import combine_seeds
from hmr_light.reports.lineage import lineage_table
from hmr_light.reports.rows import read_rows
from hmr_light.reports.tabular import deliver


def run(config: TableConfig) -> None:
    """Rebuild the table: to `config.out`, else to the terminal or the pipe."""
    if not config.tracking.uri:
        raise UserError("tracking.uri is null: there is no store to read", "Choose tracking=local or tracking=server.")
    experiment = experiment_of(config.tracking, "table")
    each = read_rows(config.tracking.uri, experiment, config.rows, config.evaluated_on)
    rows = combine_seeds(each, same_epoch=config.rows == "all") if config.group else each
    columns = [find_column(name, rows, "columns") for name in config.columns]
    if config.sort:
        rows = sort_rows(rows, config.sort)
    if config.lineage:
        everything = read_rows(config.tracking.uri, experiment, "all", each[0].evaluated_on or None)
        table = lineage_table(rows, everything)
    else:
        table = comparison_table(rows, config.language, columns, is_set_chosen=config.evaluated_on is not None)
    deliver(table, config.format, config.out)
    if config.pareto is not None:
        from hmr_light.reports.pareto import draw_pareto  # OpenCV: the table alone does without

        for path in draw_pareto(config.pareto.expanduser(), rows):
            print(path, file=sys.stderr)
    if config.verify:
        from hmr_light.commands.verification import verify_rows  # torch: the table alone does without

        verify_rows(each)
