"""The columns of the comparison table: which there are, how a reader sees their values, how rows are sorted by one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from hmr_light.errors import UserError, did_you_mean
from hmr_light.reports.cells import MISSING, printable
from hmr_light.reports.groups import STANDARD_DEVIATIONS
from hmr_light.reports.rows import FIELDS, Row

# The figures that every table shows, of which the smallest is the best, and how a reader sees them.
HEADLINE: dict[str, Callable[[float], str]] = {
    "parameters": "{:,.0f}".format,
    "mpjpe_mm": "{:.1f}".format,
    "reconstruction_error_mm": "{:.1f}".format,
    "inference_time_s": "{:.5f}".format,
}
# Errors in the image, on sets with 2D labels; see `hmr_light.evaluation.keypoints`.
KEYPOINTS = ("error_2d_percent", "pck2d_05_percent", "pck2d_10_percent")
# Columns that any row may have, measured or not.
USUAL = (
    "pve_mm",
    *STANDARD_DEVIATIONS.values(),
    "pck150_percent",
    *KEYPOINTS,
    "auc_percent",
    "spread_mm",
    "spread_labels_mm",
    "inference_ratio",
    "inference_cpu_time_s",
    "inference_cpu_share",
)


def column_names(rows: Sequence[Row]) -> list[str]:
    """All that `rows` can show besides model, pt and the headline: fields first, then every figure that one has."""
    order = [name for name in Row.__dataclass_fields__ if name in FIELDS and name not in ("model", "pt")]
    figures = sorted({name for row in rows for name in row.figures} - {*HEADLINE, *USUAL})
    return [*order, *USUAL, *figures]


def find_column(name: str, rows: Sequence[Row], option: str) -> str:
    """The column called `name`, or `name` with its unit: `pck` is `pck150_percent`. Raises `UserError` if none is."""
    known = ["model", "pt", *HEADLINE, *column_names(rows)]
    if name in known:
        return name
    longer = [each for each in known if re.fullmatch(rf"{re.escape(name)}\d*_(mm|percent|s)", each)]
    if len(longer) == 1:
        return longer[0]
    raise UserError(f"{option}: there is no '{name}'", did_you_mean(name, known))


def sort_rows(rows: Sequence[Row], by: str) -> list[Row]:
    """`rows` by a column, `-NAME` from the greatest down; those without a value come last, equal ones stay in order."""
    name = find_column(by.removeprefix("-"), rows, "sort")
    known = [row for row in rows if row[name] is not None]
    unknown = [row for row in rows if row[name] is None]
    return sorted(known, key=lambda row: _natural(row[name]), reverse=by.startswith("-")) + unknown


def show(row: Row, name: str) -> str:
    """A value as a reader sees it."""
    value = row[name]
    if value is None:
        return MISSING
    if name in HEADLINE:
        return HEADLINE[name](value)
    if isinstance(value, float):
        if name.endswith(("_mm", "_percent")):
            return f"{value:.1f}"
        return f"{value:.5f}" if abs(value) < 1e5 else f"{value:,.0f}"
    if name in row.figures:
        return f"{value:,}"
    return printable(str(value))


def _natural(value: Any) -> Any:
    """Numbers within texts by their size, as `(9)…` before `(10)…`."""
    if not isinstance(value, str):
        return value
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", value) if part]
