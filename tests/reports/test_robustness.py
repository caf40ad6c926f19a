"""Robustness as a file of figures and a picture."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import torch

from hmr_light.evaluation.metrics import MetricSums
from hmr_light.evaluation.robustness import Measured, box_changes
from hmr_light.reports.robustness import draw_curves, write_csv


def test_the_sweep_becomes_a_file_of_figures_and_a_picture(tmp_path: Path) -> None:
    measured = []
    for change in box_changes([1.0, 1.3, 1.6], [-0.15, 0.15]):
        sums = MetricSums()
        error = torch.tensor([100 * change.scale + 50 * abs(change.right), torch.nan], dtype=torch.float64)
        sums.add({"mpjpe_mm": error, "reconstruction_error_mm": error / 2, "pve_mm": error * 1.2})
        measured.append(Measured(change, sums))
    write_csv(tmp_path / "boxes.csv", measured)
    draw_curves(tmp_path / "boxes.png", measured, "a model on a set")

    with (tmp_path / "boxes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["mpjpe_mm"] for row in rows[:3]] == ["100.0000", "130.0000", "160.0000"]
    assert {(row["people"], row["dropped"]) for row in rows} == {("1", "1")}
    picture = cv2.imread(str(tmp_path / "boxes.png"))
    assert picture is not None
    assert picture.shape[1] > 2 * picture.shape[0]
    for panel in np.array_split(picture, 3, axis=1):  # every panel has its curves
        assert (panel == (180, 90, 20)).all(-1).any()
