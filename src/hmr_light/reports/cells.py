"""A table as a reader sees it, whatever it is written in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MISSING = "–"


@dataclass(frozen=True)
class Cell:
    """What stands in a cell; `is_best` in its column."""

    text: str
    is_best: bool = False
    value: object = None
    """What it shows, to sort by."""


@dataclass(frozen=True)
class Table:
    """What every format is written from."""

    headers: Sequence[str]
    is_number: Sequence[bool]
    """Of each column."""
    rows: Sequence[Sequence[Cell]]
    records: Sequence[Mapping[str, Any]]
    """Of each row: its exact values by name, for csv and json; all have the same names."""
    csv_header: Sequence[str]
    """For each of these names."""
    facts: Mapping[str, Any]
    """What json has beside the rows."""
    heading: str = ""
    """What a reader must know first."""
    notes: Sequence[str] = ()
    """What a reader must know besides."""
    winner: int | None = None
    """The row of the best trained model."""
    section_ends: frozenset[int] = frozenset()
    """Rows that a terminal draws a line under."""
    is_centred: bool = False
    """Whether markdown centres every column; otherwise the first is at the left, and the others at the right."""
    language: str = "en"
    title: str = ""
    """Of a page."""
    origin: tuple[str, Sequence[str]] = ("", ())
    """A page ends with where the figures come from: a title, and the names of these values."""


def text_table(headers: Sequence[str], rows: Sequence[Sequence[str]], texts: int, heading: str = "") -> Table:
    """A table for the eye alone: of its columns the first `texts` are texts, the others numbers."""
    return Table(
        headers=headers,
        is_number=[at >= texts for at in range(len(headers))],
        rows=[[Cell(text) for text in row] for row in rows],
        records=[],
        csv_header=headers,
        facts={},
        heading=heading,
    )


def printable(text: str) -> str:
    """`text` without what a terminal or a page would obey rather than show."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
