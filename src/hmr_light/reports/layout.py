"""What stands where in the comparison table: headers, figures as a reader sees them, the best of each column."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hmr_light.reports.rows import Row

MISSING = "–"
HEADERS = {
    "en": ("model", "pt", "#parameters", "MPJPE", "ReconstructionError", "InferenceTime"),
    "ko": ("모델", "pt", "#파라미터", "MPJPE", "재구성 오차", "추론 시간"),
}
# Of these columns the smallest figure is the best; with how a reader sees it.
FIGURES: dict[str, Callable[[float], str]] = {
    "parameters": "{:,.0f}".format,
    "mpjpe_mm": "{:.1f}".format,
    "reconstruction_error_mm": "{:.1f}".format,
    "inference_time_s": "{:.5f}".format,
}
TRACE = tuple(field.name for field in dataclasses.fields(Row) if field.name not in ("model", "pt", *FIGURES))


@dataclass(frozen=True)
class Cell:
    """What stands in a cell of the table; `is_best` in its column."""

    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """The table as a reader sees it, whatever it is written in."""

    headers: tuple[str, ...]
    rows: list[list[Cell]]
    winner: int | None
    """The row of the best trained model."""
    notes: list[str]


def lay_out(rows: Sequence[Row], language: str = "en") -> Table:
    """What stands where. Only trained models can be the best; equal figures, as shown, are equally good."""
    shown = [{name: _show(row, name) for name in FIGURES} for row in rows]
    best = {name: _best(rows, name) for name in FIGURES}
    winner = _winner(rows)
    cells = []
    for index, (row, texts) in enumerate(zip(rows, shown, strict=True)):
        model = f">>>{row.model}<<<" if index == winner else row.model
        figures = [Cell(texts[name], row.is_trained and texts[name] == best[name]) for name in FIGURES]
        cells.append([Cell(model), Cell(row.pt), *figures])
    return Table(HEADERS[language], cells, winner, _notes(rows, language))


def _show(row: Row, name: str) -> str:
    value = getattr(row, name)
    return MISSING if value is None else FIGURES[name](value)


def _best(rows: Sequence[Row], name: str) -> str | None:
    trained = [row for row in rows if row.is_trained and getattr(row, name) is not None]
    return _show(min(trained, key=lambda row: getattr(row, name)), name) if trained else None


def _winner(rows: Sequence[Row]) -> int | None:
    def figures(index: int) -> tuple[float, ...]:
        row = rows[index]
        values = (row.mpjpe_mm, row.reconstruction_error_mm, row.inference_time_s)
        return tuple(float("inf") if value is None else value for value in values)

    trained = [index for index, row in enumerate(rows) if row.is_trained and row.mpjpe_mm is not None]
    return min(trained, key=figures, default=None)


def _notes(rows: Sequence[Row], language: str) -> list[str]:
    """What a reader must know of the figures, and what makes them hard to compare."""
    where = " ".join(filter(None, (rows[0].evaluated_on, f"({rows[0].protocol})" if rows[0].protocol else "")))
    if language == "ko":
        on = f" – 평가 세트: {where}" if where else ""
        notes = [f"MPJPE, 재구성 오차: mm{on}. 추론 시간: s, 이미지 한 장의 중앙값. 굵은 글씨: 열에서 가장 좋은 값."]
        differ = "행마다 다른 {}: {}"
        names = {"protocol": "평가 방법", "device": "장치", "body": "신체 모델", "data_fingerprint": "데이터"}
    else:
        on = f" on {where}" if where else ""
        notes = [
            f"MPJPE and ReconstructionError in mm{on}; InferenceTime in s, median of one image. Bold: best of a column."
        ]
        differ = "The rows differ in {}: {}"
        names = {"protocol": "protocol", "device": "device", "body": "body", "data_fingerprint": "data"}
    for field, name in names.items():
        values = dict.fromkeys(value for row in rows if (value := getattr(row, field)))
        if len(values) > 1:
            notes.append(differ.format(name, ", ".join(value[:40] for value in values)))
    return notes
