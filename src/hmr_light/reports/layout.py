"""What stands where in the comparison table: headers, figures as a reader sees them, the best of each column."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hmr_light.reports.groups import STANDARD_DEVIATIONS
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
    value: object = None
    """What it shows, to sort by."""


@dataclass(frozen=True)
class Table:
    """The table as a reader sees it, whatever it is written in."""

    headers: tuple[str, ...]
    is_number: tuple[bool, ...]
    """Of each column."""
    rows: list[list[Cell]]
    winner: int | None
    """The row of the best trained model."""
    notes: list[str]


def lay_out(rows: Sequence[Row], language: str = "en", columns: Sequence[str] = ()) -> Table:
    """What stands where; `columns` are names of `TRACE` to show besides.

    Only trained models can be the best; equal figures, as shown, are equally good.
    """
    shown = [{name: _show(row, name) for name in FIGURES} for row in rows]
    best = {name: _best(rows, name) for name in FIGURES}
    winner = _winner(rows)
    cells = []
    for index, (row, texts) in enumerate(zip(rows, shown, strict=True)):
        model = printable(row.model)
        named = [
            Cell(f">>>{model}<<<" if index == winner else model, value=row.model),
            Cell(printable(row.pt), value=row.pt),
        ]
        figures = [
            Cell(_with_deviation(row, name), row.is_trained and texts[name] == best[name], getattr(row, name))
            for name in FIGURES
        ]
        others = [Cell(_show(row, name), value=getattr(row, name)) for name in columns]
        cells.append([*named, *figures, *others])
    is_number = [
        isinstance(next((each for row in rows if (each := getattr(row, name)) is not None), ""), int | float)
        for name in columns
    ]
    return Table(
        (*HEADERS[language], *columns),
        (False, False, *(True for _ in FIGURES), *is_number),
        cells,
        winner,
        _notes(rows, language, columns),
    )


def printable(text: str) -> str:
    """`text` without what a terminal or a page would obey rather than show."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _show(row: Row, name: str) -> str:
    value = getattr(row, name)
    if value is None:
        return MISSING
    if name in FIGURES:
        return FIGURES[name](value)
    if isinstance(value, float):
        return f"{value:.1f}" if name.endswith("_mm") else f"{value:.5f}"
    return printable(str(value))


def _with_deviation(row: Row, name: str) -> str:
    deviation = getattr(row, STANDARD_DEVIATIONS.get(name, ""), None)
    return _show(row, name) if deviation is None else f"{_show(row, name)} ± {FIGURES[name](deviation)}"


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


def _notes(rows: Sequence[Row], language: str, columns: Sequence[str]) -> list[str]:
    """What a reader must know of the figures, and what makes them hard to compare."""
    where = " ".join(filter(None, (rows[0].evaluated_on, f"({rows[0].protocol})" if rows[0].protocol else "")))
    where = printable(where)
    if language == "ko":
        on = f" – 평가 세트: {where}" if where else ""
        notes = [f"MPJPE, 재구성 오차: mm{on}. 추론 시간: s, 이미지 한 장의 중앙값. 굵은 글씨: 열에서 가장 좋은 값."]
        differ = "행마다 다른 {}: {}"
        alike = "이름이 같은 행이라도 학습 설정이 다릅니다: columns=[recipe]로 볼 수 있습니다."
        over_seeds = "±: 시드가 다른 실행들의 평균과 표준편차(n−1); 시드마다 가장 최근 실행."
        names = {"protocol": "평가 방법", "device": "장치", "body": "신체 모델", "data_fingerprint": "데이터"}
        names["evaluation_fingerprint"] = "평가 데이터"
    else:
        on = f" on {where}" if where else ""
        notes = [
            f"MPJPE and ReconstructionError in mm{on}; InferenceTime in s, median of one image. Bold: best of a column."
        ]
        differ = "The rows differ in {}: {}"
        alike = "Rows of one name were trained with different options: columns=[recipe] shows them."
        over_seeds = "±: mean and standard deviation (n−1) over runs of several seeds, of each seed the newest run."
        names = {"protocol": "protocol", "device": "device", "body": "body", "data_fingerprint": "data"}
        names["evaluation_fingerprint"] = "evaluation data"
    for field, name in names.items():
        values = dict.fromkeys(value for row in rows if (value := getattr(row, field)))
        if len(values) > 1:
            notes.append(differ.format(name, ", ".join(printable(value)[:40] for value in values)))
    if any(row.recipe for row in rows) and "recipe" not in columns:
        notes.append(alike)
    if any(row.runs > 1 for row in rows):
        notes.append(over_seeds)
    return notes
