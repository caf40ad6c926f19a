"""A set without a label that a loss is measured on cannot be trained on, and is refused before a run begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.cli import Command, compose
from support.small_run import write_data

from hmr_light.errors import UserError
from hmr_light.training.datasets import open_training
from hmr_light.training.objectives import check_labels

TERMS = ("keypoints_2d", "keypoints_3d", "pose", "betas", "vertices", "camera")
LABELS: dict[str, tuple[str, ...]] = {
    "part": ("keypoints_2d",),
    "S": ("keypoints_3d",),
    "has_smpl": ("pose", "betas", "vertices"),
}
"""Each label, and the terms that are measured on it."""


def without(data: Path, *labels: str) -> None:
    with np.load(data / "train.npz") as file:
        arrays: dict[str, Any] = dict(file)
    for label in labels:
        if label == "has_smpl":
            arrays[label] = np.zeros(len(arrays["scale"]))
        else:
            arrays[label][..., -1] = 0
    np.savez(data / "train.npz", **arrays)


@pytest.mark.parametrize("kept", LABELS)
@pytest.mark.parametrize("term", TERMS)
def test_one_label_that_one_loss_is_measured_on_is_enough(kept: str, term: str, home: Path) -> None:
    data = write_data(home / "data")
    without(data, *(LABELS.keys() - {kept}))
    config = compose("train", f"data.root={data}", *(f"loss.{name}={float(name == term)}" for name in TERMS))
    training = open_training(config)
    if term in LABELS[kept]:
        check_labels(training, config.loss)
    else:
        with pytest.raises(UserError, match=f"nobody in data.train .*train.npz.* has a label for the losses {term}"):
            check_labels(training, config.loss)


def test_a_set_without_labels_leaves_no_run_directory(home: Path, hmr_light: Command) -> None:
    data = write_data(home / "data")
    without(data, *LABELS)
    result = hmr_light("train", f"data.root={data}", "data.workers=0", "tracking=journal", "trainer.batch_size=4")
    assert result.returncode == 2
    assert "nothing can be learned" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (home / "outputs").exists()
