"""Models beside the ones that they were made from: what they lost in mm, and what they cost less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hmr_light.reports.cells import MISSING, Table, printable
from hmr_light.reports.rows import Row
from hmr_light.reports.tabular import Column, Columns, tabulate

BYTES = ("coded_bytes", "disk_bytes")
"""Sizes of files that hold a model exactly; the smallest that was measured counts."""


class Child(NamedTuple):
    """A row, and the row of its parent where there is one."""

    row: Row
    parent: Row | None
    depth: int
    """How many parents in a row it has."""


def _count(value: Any) -> str:
    return MISSING if value is None else f"{value:,.0f}"


def _mm(value: Any) -> str:
    return MISSING if value is None else f"{value:.1f}"


def _difference(value: Any) -> str:
    return MISSING if value is None else f"{value:+.1f}"


def _ratio(value: Any) -> str:
    return MISSING if value is None else f"{value:.2f}"


COLUMNS: Columns = {
    "model": Column("model", printable),
    "pt": Column("pt", printable),
    "parent": Column("made from", printable),
    "mpjpe_mm": Column("MPJPE", _mm),
    "mpjpe_change_mm": Column("Δ mm", _difference),
    "reconstruction_error_mm": Column("ReconstructionError", _mm),
    "reconstruction_error_change_mm": Column("Δ mm", _difference),
    "parameters": Column("#parameters", _count),
    "parameters_effective": Column("#effective", _count),
    "macs": Column("MACs", _count),
    "bytes": Column("bytes", _count),
    "bits": Column("bits", _ratio),
    "time_ratio": Column("time, of the parent's", _ratio),
}


def family_tree(rows: Sequence[Row], everything: Sequence[Row]) -> list[Child]:
    """`rows`, each after its parent; `everything` holds every checkpoint's row, for a parent is one of any epoch."""
    by_hash = {row.sha256: row for row in everything if row.sha256}
    parents = {row.run_id: by_hash.get(row.parent_checkpoint) for row in rows}
    shown = {row.run_id for row in rows}
    children: dict[str, list[Row]] = {}
    roots = []
    for row in rows:
        parent = parents[row.run_id]
        if parent is None or parent.run_id not in shown or parent.run_id == row.run_id:
            roots.append(row)
        else:
            children.setdefault(parent.run_id, []).append(row)
    found: list[Child] = []

    def visit(row: Row, depth: int) -> None:
        found.append(Child(row, parents[row.run_id], depth))
        for child in children.get(row.run_id, ()):
            visit(child, depth + 1)

    for row in roots:
        visit(row, 0)
    return found


def lineage_table(rows: Sequence[Row], everything: Sequence[Row]) -> Table:
    """A line for each of `rows`, of which there is one at least; each parent adds a >; see `family_tree`."""
    tree = family_tree(rows, everything)
    facts = {
        "evaluated_on": rows[0].evaluated_on,
        "bytes": "of the smallest file that holds the model exactly",
        "bits": "8 bytes / parameters",
        "Δ mm": "less the parent's",
    }
    return tabulate([_record(one) for one in tree], COLUMNS, facts)


def _record(child: Child) -> Mapping[str, Any]:
    row, parent = child.row, child.parent
    own, bytes_ = costs(row), size(row)
    record: dict[str, Any] = {"model": f"{'> ' * child.depth}{row.model}", "pt": row.pt}
    record["parent"] = f"{parent.model} {parent.pt}" if parent else row.parent_run or MISSING
    for name in ("mpjpe_mm", "reconstruction_error_mm"):
        record[name] = row[name]
        before = parent[name] if parent else None
        record[name.replace("_mm", "_change_mm")] = None if before is None or row[name] is None else row[name] - before
    record |= own
    record["bytes"] = bytes_
    record["bits"] = 8 * bytes_ / own["parameters"] if bytes_ and own["parameters"] else None
    mine, theirs = row["inference_ratio"], parent["inference_ratio"] if parent else None
    record["time_ratio"] = mine / theirs if mine and theirs else None
    return record


def costs(row: Row) -> dict[str, Any]:
    """Parameters, those that are not zero, and multiply-accumulates."""
    effective = row["parameters_effective"]
    return {
        "parameters": row["parameters"],
        "parameters_effective": row["parameters"] if effective is None else effective,
        "macs": row["macs"],
    }


def size(row: Row) -> float | None:
    """Bytes of the smallest file that was measured; None for none."""
    return min((row[name] for name in BYTES if row[name] is not None), default=None)
