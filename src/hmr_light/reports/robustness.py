"""The errors with changed boxes: a table, a file of figures, a picture."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from hmr_light.evaluation.metrics import TITLES
from hmr_light.evaluation.robustness import BoxChange, Measured
from hmr_light.paths import atomic_write
from hmr_light.reports.cells import Table, text_table

_WIDTH, _HEIGHT = 420, 300  # of a panel's axes
_LEFT, _TOP, _GAP, _BOTTOM = 60, 60, 40, 60
_BLUE, _GREEN, _RED = (180, 90, 20), (40, 140, 40), (40, 40, 190)  # BGR
_COLOURS = {
    "mpjpe_mm": _BLUE,
    "reconstruction_error_mm": _GREEN,
    "pve_mm": _RED,
    "error_2d_percent": _BLUE,
    "pck2d_05_percent": _GREEN,
    "pck2d_10_percent": _RED,
}
_INK, _GRID = (40, 40, 40), (225, 225, 225)
_PANELS: tuple[tuple[str, Callable[[BoxChange], float | None]], ...] = (
    ("side of the box, times", lambda change: change.scale if not (change.right or change.down) else None),
    ("moved to the right, % of the side", lambda change: 100 * change.right if _only(change, "down") else None),
    ("moved down, % of the side", lambda change: 100 * change.down if _only(change, "right") else None),
)


def robustness_table(title: str, measured: Sequence[Measured]) -> Table:
    """The errors by the change of the boxes, for the terminal."""
    rows = [
        [str(one.change), str(one.sums.count), str(one.sums.dropped), *(f"{e:.1f}" for e in one.sums.means().values())]
        for one in measured
    ]
    headers = ["box", "people", "dropped", *(TITLES[metric] for metric in measured[0].sums.metrics)]
    return text_table(headers, rows, texts=1, heading=title)


def write_csv(path: Path, measured: Sequence[Measured]) -> None:
    """A line a change: scale, shifts, people, dropped, and every metric."""
    metrics = measured[0].sums.metrics
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["scale", "right", "down", "people", "dropped", *metrics])
        for one in measured:
            change, sums = one.change, one.sums
            figures = [f"{value:.4f}" for value in sums.means().values()]
            writer.writerow([change.scale, change.right, change.down, sums.count, sums.dropped, *figures])


def draw_curves(path: Path, measured: Sequence[Measured], title: str) -> None:
    """A PNG: the errors, mm or percent, over the scale, the shift to the right and the shift down, a panel each."""
    metrics = [metric for metric in measured[0].sums.metrics if metric in _COLOURS]
    curves = {
        metric: [(one.change, one.sums.means()[metric]) for one in measured if np.isfinite(one.sums.means()[metric])]
        for metric in metrics
    }
    highest = max((value for curve in curves.values() for _, value in curve), default=1.0)
    step = _round_step(highest / 5)
    top = step * np.ceil(highest / step + 1e-9)
    size = (_TOP + _HEIGHT + _BOTTOM, _LEFT + len(_PANELS) * (_WIDTH + _GAP), 3)
    image = np.full(size, 255, np.uint8)
    _text(image, title, (_LEFT, 22), 0.5)
    for number, metric in enumerate(metrics):
        x = _LEFT + 260 * number
        cv2.line(image, (x, 40), (x + 24, 40), _COLOURS[metric], 2, cv2.LINE_AA)
        _text(image, TITLES[metric], (x + 30, 44), 0.42)
    for number, (label, place) in enumerate(_PANELS):
        left = _LEFT + number * (_WIDTH + _GAP)
        points = {
            metric: sorted((at, value) for change, value in curve if (at := place(change)) is not None)
            for metric, curve in curves.items()
        }
        _panel(image, left, label, points, top, step)
    with atomic_write(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def _panel(
    image: np.ndarray, left: int, label: str, points: dict[str, list[tuple[float, float]]], top: float, step: float
) -> None:
    xs = sorted({x for curve in points.values() for x, _ in curve})
    low, high = (xs[0], xs[-1]) if len(xs) > 1 else ((xs[0] - 1, xs[0] + 1) if xs else (0.0, 1.0))
    bottom = _TOP + _HEIGHT

    def pixel(x: float, y: float) -> tuple[int, int]:
        return round(left + 12 + (_WIDTH - 24) * (x - low) / (high - low)), round(bottom - _HEIGHT * y / top)

    for tick in np.arange(0, top + step / 2, step):
        _, y = pixel(low, tick)
        cv2.line(image, (left, y), (left + _WIDTH, y), _GRID, 1)
        _text(image, f"{tick:g}", (left - 8, y + 4), 0.4, align="right")
    for x in xs:
        column, _ = pixel(x, 0)
        cv2.line(image, (column, bottom), (column, bottom + 4), _INK, 1)
        _text(image, f"{x:g}", (column, bottom + 18), 0.4, align="middle")
    cv2.line(image, (left, bottom), (left + _WIDTH, bottom), _INK, 1)
    _text(image, label, (left + _WIDTH // 2, bottom + 40), 0.45, align="middle")
    for metric, curve in points.items():
        corners = [pixel(x, y) for x, y in curve]
        for start, end in pairwise(corners):
            cv2.line(image, start, end, _COLOURS[metric], 2, cv2.LINE_AA)
        for corner in corners:
            cv2.circle(image, corner, 3, _COLOURS[metric], -1, cv2.LINE_AA)


def _text(image: np.ndarray, text: str, place: tuple[int, int], size: float, align: str = "left") -> None:
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    x = place[0] - {"left": 0, "middle": width // 2, "right": width}[align]
    cv2.putText(image, text, (x, place[1]), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)


def _only(change: BoxChange, other: str) -> bool:
    return change.scale == 1 and not getattr(change, other)


def _round_step(value: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is not less than `value`."""
    power = 10.0 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value - 1e-12))
