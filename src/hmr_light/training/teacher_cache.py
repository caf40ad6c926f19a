"""What a teacher predicts of each image, kept on disk: its network then runs once for an image, not once a step.

That is so where an image has few forms: it is as it is, or mirrored. The teacher sees batches as large as a step's, so
that its numbers are those of a step, bit by bit on CPUs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hmr_light.config.schema import TrainConfig
from hmr_light.config.signals import StopRequest
from hmr_light.data.augment import NO_AUGMENTATION, beyond_mirroring
from hmr_light.data.dataset import MeshDataset, Sample
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.data.workers import loader_processes
from hmr_light.errors import Interrupted, UserError
from hmr_light.model.hmr import normalize
from hmr_light.model.regressors import SmplParameters
from hmr_light.training.datasets import training_samples
from hmr_light.training.disk_cache import Rows, cache_folder, fill, open_cache

OFF = "distillation.cache=false"
Predict = Callable[[torch.Tensor], SmplParameters]
"""Normalised images (B, 3, S, S) → the teacher's parameters, float32."""


class TaughtSamples(Dataset[Sample]):
    """The samples of a mixture, and what the teacher predicts of each: `teacher_rotations`, `_betas`, `_camera`.

    The folder of each dataset has a row for each person, and then, if some are mirrored, for each mirrored person.
    """

    def __init__(self, mixture: Mixture, samples: Dataset[Any], folders: Sequence[Path]) -> None:
        self.mixture = mixture
        self.samples = samples
        self.folders = folders
        self._open: dict[int, Rows] = {}  # each loader process maps the files itself

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        sample = self.samples[key]
        chosen, pass_, _ = self.mixture.locate(*key)
        dataset, index = self.mixture.datasets[chosen], int(sample["index"])
        if chosen not in self._open:
            self._open[chosen] = open_cache(self.folders[chosen])
        row = dataset.change(pass_, index).flip * len(dataset) + index
        kept = {f"teacher_{name}": torch.from_numpy(value[row].copy()) for name, value in self._open[chosen].items()}
        if not kept["teacher_camera"].isfinite().all():
            raise UserError(
                f"imgname[{index}] of {dataset.path} could not be read when the teacher's predictions were kept",
                f"If the image is mended, remove {self.folders[chosen]}; or set {OFF}.",
            )
        return sample | kept


def kept_prediction(batch: dict[str, torch.Tensor]) -> SmplParameters | None:
    """What the teacher predicts of `batch`, if its samples are `TaughtSamples`."""
    if "teacher_camera" not in batch:
        return None
    return SmplParameters(*(batch[f"teacher_{name}"] for name in SmplParameters._fields))


def refuse_changing_images(config: TrainConfig) -> None:
    """Raise `UserError` if images are augmented in such a way that an image has many forms."""
    if changing := beyond_mirroring(config.data.augmentation):
        named = ", ".join(f"data.augmentation.{name}={value:g}" for name, value in changing.items())
        raise UserError(
            f"distillation.cache=true keeps predictions for images as they are and mirrored, but {named} changes them "
            "anew in every epoch",
            f"Set data/augmentation=none data.augmentation.flip_probability=0.5, or {OFF}.",
        )


def taught_samples(
    mixture: Mixture,
    config: TrainConfig,
    teacher: str,
    predict: Predict,
    distributed: Distributed,
    say: Callable[[str], None],
    stop: StopRequest,
) -> TaughtSamples:
    """The training samples of `mixture` with the predictions of `predict`, from the disk or computed now.

    They are kept in `$HMR_LIGHT_HOME/cache/teachers`, in a folder for each set, size, teacher (`teacher` is the SHA-256
    of its file) and way to compute. A computation that was interrupted goes on where it was. The main process computes.
    Raises `UserError` where the disk is full.
    """
    batch_size = config.trainer.batch_size // distributed.world_size
    mirrored = 1 + bool(config.data.augmentation.flip_probability)
    facts: dict[str, Any] = {
        "teacher": teacher,
        "mirrored": mirrored,
        "computed": [batch_size, config.trainer.precision, config.trainer.channels_last, distributed.device.type],
        "threads": torch.get_num_threads(),
    }
    folders = [cache_folder("teachers", dataset, **facts) for dataset in mixture.datasets]
    replace_bad = config.trainer.on_bad_sample == "skip"

    def compute(dataset: MeshDataset, done: int) -> Iterator[Rows]:
        loader = DataLoader(
            _Images(dataset, replace_bad),
            batch_size=batch_size,
            sampler=range(done, mirrored * len(dataset)),
            **loader_processes(config.data.workers),
            generator=torch.Generator(),
        )
        for images, readable in loader:
            images = normalize(images.to(distributed.device))
            few = len(images)
            images = torch.cat((images, images[-1:].expand(batch_size - few, -1, -1, -1)))
            if config.trainer.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            found = {name: value[:few].cpu().numpy() for name, value in predict(images)._asdict().items()}
            found["camera"][~readable.numpy()] = np.nan
            yield found

    if distributed.is_main:
        for dataset, folder in zip(mixture.datasets, folders, strict=True):
            what = f"the teacher's predictions of {dataset.path.name}"
            fill(folder, mirrored * len(dataset), partial(compute, dataset), what, say, stop, OFF)
    if distributed.any(stop.requested):  # all wait here
        raise Interrupted("The teacher's predictions so far are kept.")
    return TaughtSamples(mixture, training_samples(mixture, config), folders)


class _Images(Dataset[tuple[torch.Tensor, bool]]):
    """The images (3, S, S) uint8 of all people of a set, then the mirrored ones; and whether each could be read."""

    def __init__(self, dataset: MeshDataset, replace_bad: bool) -> None:
        self.dataset = dataset
        self.replace_bad = replace_bad

    def __getitem__(self, row: int) -> tuple[torch.Tensor, bool]:
        mirrored, index = divmod(row, len(self.dataset))
        try:
            return self.dataset.sample(index, NO_AUGMENTATION._replace(flip=bool(mirrored)))["image"], True
        except UserError:
            if not self.replace_bad:
                raise
            return torch.zeros(3, self.dataset.image_size, self.dataset.image_size, dtype=torch.uint8), False
