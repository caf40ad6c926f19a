"""Calibration sees the training images as they are, whatever the augmentation of training."""

from __future__ import annotations

import torch
from support.cli import compose

from hmr_light.compression.calibration import calibration_batches
from hmr_light.config.schema import CalibrationConfig
from hmr_light.data.distributed import Distributed
from hmr_light.training.datasets import open_training


def test_images_are_not_augmented(quick: list[str]) -> None:
    config = compose("train", *quick, "data/augmentation=strong")
    calibration = CalibrationConfig(images=32, batch_size=16, batch_norms=True)
    batches = list(calibration_batches(config, calibration, Distributed(0, 1, torch.device("cpu"))))
    (people,) = open_training(config).datasets
    assert sum(len(batch["image"]) for batch in batches) == 32
    for batch in batches:
        for image, index in zip(batch["image"], batch["index"].tolist(), strict=True):
            assert torch.equal(image, people[index]["image"])  # without an epoch: the plain sample
