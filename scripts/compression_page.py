"""Write the measured tables of docs/compression.md and their picture from the runs of compression_results.sh.

Each line is a run: its best checkpoint on validation. Changes and ratios are against the trained network that a chain
began with, so that a line says what the whole chain cost. Given are the numbers of people that were measured, of the
first and of the second table; null for whole splits.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from hmr_light.errors import UserError
from hmr_light.paths import atomic_write, home
from hmr_light.reports.lineage import costs, family_tree
from hmr_light.reports.pareto import draw_pareto
from hmr_light.reports.rows import Row, read_rows
from hmr_light.tracking.store import default_uri

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "compression.md"
PARTS = {"compression_results.sh": "compression", "compression_results.sh mobile": "compression_mobile"}
"""The mark on the page → the experiment."""
HEADERS = ("model", "test", "Δ", "test-ood", "Δ", "parameters", "not zero", "MACs", "bytes", "ratio")
ERRORS = ("mpjpe_mm", "reconstruction_error_mm")


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for (mark, experiment), people in zip(PARTS.items(), sys.argv[1:], strict=True):
        suffix = "" if people == "null" else f"-first-{people}"
        try:
            ours, others = (
                read_rows(default_uri(home()), experiment, "best", f"synthetic_{split}{suffix}")
                for split in ("test", "test_ood")
            )
        except UserError as error:
            print(f"{experiment}: {error.message}", file=sys.stderr)
            continue
        begin, end = f"<!-- by scripts/{mark} -->", "<!-- end -->"
        before, found, rest = text.partition(begin)
        if not found:
            sys.exit(f"{PAGE} has no {begin}")
        lines = table(experiment, ours, {row.run_id: row for row in others})
        text = f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{rest.partition(end)[2]}"
        if experiment == "compression":
            draw_pareto(DOCS / "images" / "compression.png", [drawn(row) for row in ours])
    with atomic_write(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")


def table(experiment: str, rows: list[Row], others: dict[str, Row]) -> list[str]:
    """A line for each of `rows`, each network followed by what was made of it; `others` are the same runs elsewhere."""
    everything = read_rows(default_uri(home()), experiment, "all", rows[0].evaluated_on)
    lines = ["|" + "|".join(HEADERS) + "|", "|---" + "|---:" * (len(HEADERS) - 1) + "|"]
    root = rows[0]
    for row, _, depth in family_tree([row for row in rows if row["mpjpe_mm"] is not None], everything):
        if depth == 0:
            root = row
        theirs, before = others.get(row.run_id), others.get(root.run_id)
        own, bytes_, whole = costs(row), row["coded_bytes"] or row["disk_bytes"], root["disk_bytes"]
        cells = [row.model if depth else f"**{row.model}**"]
        cells += errors(row, root if depth else None) + errors(theirs, before if depth else None)
        cells += [count(own["parameters"]), count(own["parameters_effective"]), millions(own["macs"]), count(bytes_)]
        cells.append(f"{whole / bytes_:.1f}" if depth and bytes_ and whole else "")
        lines.append("|" + "|".join(cells) + "|")
    return lines


def drawn(row: Row) -> Row:
    """`row` for the picture. All rows are of the same people, so that a part of a set is no reason to leave one out.

    Each time was measured beside another load, so that they cannot be compared.
    """
    return replace(
        row, state="", figures={name: value for name, value in row.figures.items() if "inference" not in name}
    )


def errors(row: Row | None, parent: Row | None) -> list[str]:
    """MPJPE / reconstruction error, mm, and how far both are from the parent's."""
    if row is None:
        return ["–", ""]
    values = [row[name] for name in ERRORS]
    changes = [row[name] - parent[name] for name in ERRORS] if parent else []
    return [" / ".join(f"{value:.1f}" for value in values), " / ".join(f"{value:+.1f}" for value in changes)]


def count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def millions(value: float | None) -> str:
    return "–" if value is None else f"{value / 1e6:.1f} M"


if __name__ == "__main__":
    main()
