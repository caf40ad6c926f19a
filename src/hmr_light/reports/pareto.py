"""Errors against costs, as pictures: which models no other one beats in both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from hmr_light.errors import UserError
from hmr_light.paths import atomic_write
from hmr_light.reports.lineage import size
from hmr_light.reports.rows import Row

_WIDTH, _HEIGHT = 460, 380  # of a panel's axes
_LEFT, _TOP, _GAP, _BOTTOM = 70, 60, 70, 60
_INK, _GRID, _FRONT = (40, 40, 40), (225, 225, 225), (40, 90, 200)
_MADE, _TRAINED = (200, 90, 30), (60, 130, 60)
_SCALE = 2  # of the PNG's pixels
_LETTER, _LINE = 6.5, 14  # of a name
_LINES = _HEIGHT // _LINE
_MOST_NAMES = 25  # more in a panel cover one another
_Box = tuple[float, float, float, float]


class Point(NamedTuple):
    """A model in a panel."""

    cost: float
    error: float
    name: str
    is_made: bool
    """Whether it was made from another model."""


Panel = tuple[str, Callable[[Row], float | None]]
PANELS: tuple[Panel, ...] = (
    ("bytes on disk", size),
    ("multiply-accumulates", lambda row: row["macs"]),
    ("inference time, of the yardstick's", lambda row: row["inference_ratio"]),
)


def front(points: Sequence[Point]) -> list[Point]:
    """Those that no other point is as good as in both cost and error and better in one, by cost."""
    found: list[Point] = []
    for point in sorted(points, key=lambda one: (one.cost, one.error)):
        if not found or point.error < found[-1].error:
            found.append(point)
    return found


def draw_pareto(path: Path, rows: Sequence[Row]) -> list[Path]:
    """Write `path` with the suffixes .png and .svg: the MPJPE of `rows` against each cost; returns both paths.

    Of more than 25 models, only those have their name beside them that no other one beats, and the trained ones.

    Raises `UserError` where no row has an error and a cost.
    """
    panels = []
    for title, cost in PANELS:
        points = [
            Point(value, row["mpjpe_mm"], row.model, bool(row.parent_run))
            for row in rows
            if row["mpjpe_mm"] is not None and (value := cost(row)) and value > 0 and row.can_be_best
        ]
        if len(points) > _MOST_NAMES:
            best = front(points)
            points = [one if one in best or not one.is_made else one._replace(name="") for one in points]
        if points:
            panels.append((title, points))
    if not panels:
        raise UserError("no row has both an error and a cost that could be drawn", "Train or evaluate a model first.")
    return draw_panels(path, panels)


def draw_panels(path: Path, panels: Sequence[tuple[str, Sequence[Point]]], error: str = "MPJPE, mm") -> list[Path]:
    """Write `path` with the suffixes .png and .svg: for each title the errors of its points against their costs.

    Points without a name are dots alone; costs are above 0. `error` is the title of the errors. Returns both paths.
    """
    size_ = (2 * _LEFT + len(panels) * (_WIDTH + _GAP), _TOP + _HEIGHT + _BOTTOM)
    marks = [mark for number, panel in enumerate(panels) for mark in _panel(number, *panel, error)]
    written = []
    for suffix, text in ((".png", None), (".svg", _svg(marks, size_))):
        with atomic_write(path.with_suffix(suffix)) as temporary:
            temporary.write_bytes(_png(marks, size_) if text is None else text.encode())
        written.append(path.with_suffix(suffix))
    return written


class _Line(NamedTuple):
    points: tuple[tuple[float, float], ...]
    colour: tuple[int, int, int]
    width: float


class _Dot(NamedTuple):
    at: tuple[float, float]
    colour: tuple[int, int, int]


class _Text(NamedTuple):
    text: str
    at: tuple[float, float]
    anchor: str
    """`start`, `middle` or `end`."""


_Mark = _Line | _Dot | _Text


def _panel(number: int, title: str, points: Sequence[Point], error: str) -> list[_Mark]:
    left = _LEFT + number * (_WIDTH + _GAP)
    costs, errors = [one.cost for one in points], [one.error for one in points]
    low, high = math.log10(min(costs)) - 0.1, math.log10(max(costs)) + 0.25
    step = _round_step((max(errors) - min(errors)) / 5 or 1.0)
    bottom, top = step * math.floor(min(errors) / step), step * (math.floor(max(errors) / step) + 1)

    def place(cost: float, error: float) -> tuple[float, float]:
        across = (math.log10(cost) - low) / (high - low)
        return left + across * _WIDTH, _TOP + (top - error) / (top - bottom) * _HEIGHT

    marks: list[_Mark] = []
    for line in range(round((top - bottom) / step) + 1):
        y = place(costs[0], bottom + line * step)[1]
        marks += [
            _Line(((left, y), (left + _WIDTH, y)), _GRID, 1),
            _Text(f"{bottom + line * step:g}", (left - 6, y + 4), "end"),
        ]
    for power in range(math.floor(low), math.ceil(high) + 1):
        for factor in (1, 2, 5):
            value = factor * 10.0**power
            if low <= math.log10(value) <= high:
                x = place(value, bottom)[0]
                marks += [
                    _Line(((x, _TOP), (x, _TOP + _HEIGHT)), _GRID, 1),
                    _Text(_short(value), (x, _TOP + _HEIGHT + 18), "middle"),
                ]
    best = front(points)
    steps = [place(best[0].cost, top)]
    for before, after in zip(best, [*best[1:], None], strict=True):
        steps.append(place(before.cost, before.error))
        steps.append(place(after.cost, before.error) if after else (left + _WIDTH, steps[-1][1]))
    marks.append(_Line(tuple(steps), _FRONT, 1.5))
    at = [place(one.cost, one.error) for one in points]
    marks += _names(list(zip(at, [one.name for one in points], strict=True)), left)
    marks += [_Dot(where, _MADE if one.is_made else _TRAINED) for where, one in zip(at, points, strict=True)]
    marks.append(_Text(title, (left + _WIDTH / 2, _TOP + _HEIGHT + 42), "middle"))
    marks.append(_Text(error, (left - 40, _TOP - 16), "start"))
    return marks


def _names(dots: Sequence[tuple[tuple[float, float], str]], left: float) -> list[_Mark]:
    """The name of each dot beside it, where no other name or dot is; a thin line leads to one that is farther off."""
    marks: list[_Mark] = []
    taken = [(x - 4, y - 4, x + 4, y + 4) for (x, y), _ in dots]
    for (x, y), name in sorted((dot for dot in dots if dot[1]), key=lambda dot: dot[0][::-1]):
        wide = _LETTER * len(name)
        for down in sorted((_LINE * line for line in range(-_LINES, _LINES)), key=abs):
            base = y - 5 + down
            sides = [(x + 7, "start"), (x - 7, "end")]
            boxes = [(side - (wide if anchor == "end" else 0), anchor) for side, anchor in sides]
            free = [
                (start, anchor)
                for start, anchor in boxes
                if left <= start and start + wide <= left + _WIDTH + _GAP / 2
                if _TOP <= base <= _TOP + _HEIGHT
                if not any(_overlap((start, base - _LINE + 3, start + wide, base + 3), other) for other in taken)
            ]
            if free:
                break
        else:
            start, anchor, base = x + 7, "start", y - 5  # there is no room: on top of others
            free = [(start, anchor)]
        start, anchor = free[0]
        taken.append((start, base - _LINE + 3, start + wide, base + 3))
        edge = start + (wide if anchor == "end" else 0)
        if abs(base - y) > _LINE:
            marks.append(_Line(((x, y), (edge, base - 4)), _GRID, 1))
        marks.append(_Text(name, (edge, base), anchor))
    return marks


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _svg(marks: Sequence[_Mark], size_: tuple[int, int]) -> str:
    width, height = size_
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for mark in marks:
        match mark:
            case _Line(points, colour, thick):
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                lines.append(f'<polyline points="{path}" fill="none" stroke="{_hex(colour)}" stroke-width="{thick}"/>')
            case _Dot((x, y), colour):
                lines.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_hex(colour)}"/>')
            case _Text(text, (x, y), anchor):
                shown = escape("".join(letter for letter in text if letter.isprintable()))
                lines.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_hex(_INK)}">{shown}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _png(marks: Sequence[_Mark], size_: tuple[int, int]) -> bytes:
    width, height = (_SCALE * side for side in size_)
    image = np.full((height, width, 3), 255, np.uint8)

    def pixel(at: tuple[float, float]) -> tuple[int, int]:
        return round(_SCALE * at[0]), round(_SCALE * at[1])

    for mark in marks:
        match mark:
            case _Line(points, colour, thick):
                corners = np.array([pixel(one) for one in points], np.int32)
                cv2.polylines(image, [corners], False, colour[::-1], max(1, round(_SCALE * thick)), cv2.LINE_AA)
            case _Dot(at, colour):
                cv2.circle(image, pixel(at), 4 * _SCALE, colour[::-1], -1, cv2.LINE_AA)
            case _Text(text, at, anchor):
                shown = text.encode("ascii", "replace").decode()  # OpenCV's letters
                (wide, _), _ = cv2.getTextSize(shown, cv2.FONT_HERSHEY_SIMPLEX, 0.42 * _SCALE, 1)
                x, y = pixel(at)
                x -= {"start": 0, "middle": wide // 2, "end": wide}[anchor]
                cv2.putText(image, shown, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42 * _SCALE, _INK, 1, cv2.LINE_AA)
    return cv2.imencode(".png", image)[1].tobytes()


def _hex(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _short(value: float) -> str:
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g}{unit}"
    return f"{value:g}"


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))
