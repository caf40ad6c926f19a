"""The errors of single joints in the image: a table for the terminal, and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from hmr_light.evaluation.evaluate import MEAN_POSE, MODEL
from hmr_light.evaluation.keypoints import PER_JOINT, KeypointSums
from hmr_light.evaluation.metrics import TITLES
from hmr_light.paths import atomic_write
from hmr_light.reports.cells import Table, text_table

_LEFT, _TOP, _ROW, _BARS, _MARGIN = 190, 70, 22, 500, 60
_MODEL, _MEAN, _INK, _GRID = (200, 120, 40), (190, 190, 190), (40, 40, 40), (225, 225, 225)  # BGR


def joint_table(title: str, scores: Mapping[str, KeypointSums]) -> Table:
    """A row for each labelled joint: how many people have it, the model's errors, and the mean pose's PCK@0.1."""
    model, mean = scores[MODEL], scores[MEAN_POSE].per_joint()
    headers = ["joint", "people", *(TITLES[metric] for metric in model.metrics), "PCK@0.1 of the mean pose, %"]
    rows = []
    for joint, values in model.per_joint().items():
        figures = [f"{values[metric]:.1f}" for metric in model.metrics]
        told = f"{mean[joint][PER_JOINT]:.1f}" if joint in mean else "–"
        rows.append([joint, f"{values['people']:.0f}", *figures, told])
    return text_table(headers, rows, texts=1, heading=title)


def draw_joints(path: Path, scores: Mapping[str, KeypointSums], title: str) -> None:
    """A PNG: each labelled joint's PCK@0.1 as a bar of the model's over a bar of the mean pose's."""
    model, mean = scores[MODEL].per_joint(), scores[MEAN_POSE].per_joint()
    image = np.full((_TOP + _ROW * len(model) + _MARGIN, _LEFT + _BARS + _MARGIN, 3), 255, np.uint8)
    bottom = _TOP + _ROW * len(model)
    _text(image, title, (12, 24), 0.5)
    for number, (label, colour) in enumerate((("model", _MODEL), ("mean pose", _MEAN))):
        x = _LEFT + 120 * number
        cv2.rectangle(image, (x, 40), (x + 14, 50), colour, -1)
        _text(image, label, (x + 20, 50), 0.42)
    for percent in range(0, 101, 20):
        x = _LEFT + _BARS * percent // 100
        cv2.line(image, (x, _TOP), (x, bottom), _GRID, 1)
        _text(image, str(percent), (x - 8, bottom + 18), 0.4)
    _text(image, "PCK@0.1, % of the people with a label of the joint", (_LEFT, bottom + 42), 0.42)
    for number, (joint, values) in enumerate(model.items()):
        y = _TOP + _ROW * number
        _text(image, f"{joint} ({values['people']:.0f})", (8, y + 15), 0.4)
        for top, height, colour, share in (
            (3, 10, _MODEL, values[PER_JOINT]),
            (14, 5, _MEAN, mean.get(joint, {}).get(PER_JOINT, 0.0)),
        ):
            cv2.rectangle(image, (_LEFT, y + top), (_LEFT + round(_BARS * share / 100), y + top + height), colour, -1)
    with atomic_write(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def _text(image: np.ndarray, text: str, place: tuple[int, int], size: float) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
