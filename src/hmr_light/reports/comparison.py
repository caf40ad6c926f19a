"""The comparison table: what stands where, and the best of each column."""

from __future__ import annotations

from collections.abc import Sequence

from hmr_light.reports.cells import Cell, Table, printable
from hmr_light.reports.columns import HEADLINE, KEYPOINTS, column_names, show
from hmr_light.reports.groups import STANDARD_DEVIATIONS
from hmr_light.reports.notes import heading, notes
from hmr_light.reports.rows import Row
from hmr_light.tracking.records import SELECTION

HEADERS = {
    "en": ("model", "pt", "#parameters", "MPJPE", "ReconstructionError", "InferenceTime"),
    "ko": ("모델", "pt", "#파라미터", "MPJPE", "재구성 오차", "추론 시간"),
}
TITLES = {"en": ("Comparison of models", "Where the figures come from"), "ko": ("모델 비교", "값의 출처")}


def comparison_table(
    rows: Sequence[Row], language: str = "en", columns: Sequence[str] = (), *, is_set_chosen: bool = False
) -> Table:
    """The table of `rows`, of which there is one at least; `columns` are further columns by name.

    Only trained models whose figures mean something can be the best (`Row.can_be_best`); equal figures, as shown, are
    equally good. What the rows say of their state, where they start differently, and errors in 2D are shown unasked.
    csv and json have every column in any case.
    """
    asked = list(dict.fromkeys([*_unasked(rows), *columns]))
    best = {name: _best(rows, name) for name in HEADLINE}
    winner = _winner(rows)
    cells = []
    for index, row in enumerate(rows):
        model = printable(row.model)
        named = [
            Cell(f">>>{model}<<<" if index == winner else model, value=row.model),
            Cell(printable(row.pt), value=row.pt),
        ]
        figures = [
            Cell(_figure(row, name), _is_eligible(row, name) and show(row, name) == best[name], row[name])
            for name in HEADLINE
        ]
        cells.append([*named, *figures, *(Cell(show(row, name), value=row[name]) for name in asked)])
    names = ["model", "pt", *HEADLINE, "winner", *column_names(rows), "inference_time_mark"]
    records = [
        {name: row[name] for name in names} | {"winner": index == winner, "inference_time_mark": row.time_mark}
        for index, row in enumerate(rows)
    ]
    headers = (*HEADERS[language], *asked)
    title, origin = TITLES[language]
    top = heading(rows, language, is_set_chosen)
    below = notes(rows, language, columns)
    return Table(
        headers=headers,
        is_number=(False, False, *(True for _ in HEADLINE), *(_is_number(rows, name) for name in asked)),
        rows=cells,
        records=records,
        csv_header=[*HEADERS[language], *names[len(HEADERS[language]) :]],
        facts={"headers": headers, "heading": top, "notes": below},
        heading=top,
        notes=below,
        winner=winner,
        section_ends=frozenset(at for at in range(len(rows) - 1) if rows[at].model != rows[at + 1].model),
        is_centred=True,
        language=language,
        title=title,
        origin=(origin, ["model", "pt", *column_names(rows)]),
    )


def _unasked(rows: Sequence[Row]) -> list[str]:
    starts = {row.start for row in rows if row.start}
    of_keypoints = [name for name in KEYPOINTS if any(row[name] is not None for row in rows)]
    states = ["state"] if any(row.state for row in rows) else []
    return [*of_keypoints, *states, *(["start"] if len(starts) > 1 else [])]


def _figure(row: Row, name: str) -> str:
    deviation = row[STANDARD_DEVIATIONS.get(name, "")]
    mark = row.time_mark if name == "inference_time_s" and row[name] is not None else ""
    return f"{mark}{show(row, name)}" + ("" if deviation is None else f" ± {HEADLINE[name](deviation)}")


def _is_eligible(row: Row, name: str) -> bool:
    return row.can_be_best and row[name] is not None and not (name == "inference_time_s" and row.time_mark)


def _best(rows: Sequence[Row], name: str) -> str | None:
    eligible = [row for row in rows if _is_eligible(row, name)]
    return show(min(eligible, key=lambda row: row[name]), name) if eligible else None


def _winner(rows: Sequence[Row]) -> int | None:
    def figures(index: int) -> tuple[float, ...]:
        names = (error, "reconstruction_error_mm", "inference_time_s")
        return tuple(rows[index][name] if _is_eligible(rows[index], name) else float("inf") for name in names)

    # On a set with 2D labels alone no row has an error in mm.
    error = next((name for name in SELECTION if any(_is_eligible(row, name) for row in rows)), SELECTION[0])
    return min((at for at, row in enumerate(rows) if _is_eligible(row, error)), key=figures, default=None)


def _is_number(rows: Sequence[Row], name: str) -> bool:
    return isinstance(next((row[name] for row in rows if row[name] is not None), ""), int | float)
