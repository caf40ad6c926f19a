"""Images of the training set for what is measured without training: activations, statistics, gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hmr_light.config.schema import CalibrationConfig, TrainConfig
from hmr_light.data.distributed import Distributed
from hmr_light.errors import UserError
from hmr_light.training.datasets import open_batches, open_training
from hmr_light.training.objectives import Batch


def calibration_batches(
    config: TrainConfig, calibration: CalibrationConfig, distributed: Distributed
) -> Iterator[Batch]:
    """`calibration.images` people of the training sets on the device, in whole batches, without augmentation.

    Which they are is a function of `config.seed`. Raises `UserError` for images that cannot be read.
    """
    training = open_training(config, augmented=False)
    size = min(calibration.batch_size, calibration.images, len(training))
    if size < 2:
        raise UserError(
            "calibration needs two images or more",
            "Give calibration.images=640, or more data.",
        )
    count = calibration.images // size
    epochs = -(-count * size // len(training)) + 1
    trainer = replace(config.trainer, batch_size=size, epochs=epochs, freeze_backbone=0)
    batches = open_batches(training, None, 0, 0, replace(config, trainer=trainer), distributed)
    for _, batch in zip(range(count), batches, strict=False):
        batch.pop("skipped", None)
        yield {name: value.to(distributed.device) for name, value in batch.items()}
