"""Rebuild the comparison table from the runs in MLflow: the same function as `hmr-light table`.

python scripts/rebuild_table.py [--uri URI] [--experiment NAME] [--rows best] [--format markdown] [--language en]
"""

from __future__ import annotations

import argparse
import sys

from hmr_light.errors import UserError
from hmr_light.paths import home
from hmr_light.reports.comparison import comparison_table
from hmr_light.reports.rows import read_rows
from hmr_light.reports.tabular import write
from hmr_light.tracking.store import default_uri


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Rebuild the comparison table from the runs in MLflow.")
    parser.add_argument("--uri", default=default_uri(home()), help="MLflow tracking URI (default: %(default)s)")
    parser.add_argument("--experiment", default="hmr_light")
    parser.add_argument("--rows", choices=("best", "last", "all"), default="best")
    parser.add_argument("--evaluated-on", help="the evaluation set of the errors (default: the one most rows have)")
    parser.add_argument("--format", choices=("markdown", "csv", "json", "latex", "html"), default="markdown")
    parser.add_argument("--language", choices=("en", "ko"), default="en")
    choice = parser.parse_args()
    try:
        rows = read_rows(choice.uri, choice.experiment, choice.rows, choice.evaluated_on)
    except UserError as error:
        sys.exit(f"rebuild_table: {error}")
    sys.stdout.write(write(comparison_table(rows, choice.language), choice.format))


if __name__ == "__main__":
    main()
