"""The sets of images that a run trains on and is evaluated on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from hmr_light.config.schema import TrainConfig
from hmr_light.data.annotations import fingerprint
from hmr_light.data.bad_samples import TrainingSamples, refuse_many
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.data.workers import loader_processes
from hmr_light.errors import UserError
from hmr_light.model.mean_parameters import Mean, compute_mean_parameters
from hmr_light.training.sampler import EpochBatches


def open_training(config: TrainConfig, *, augmented: bool = True) -> Mixture:
    """The training sets as one dataset, as long as all of them together. Raises `UserError` if there is none.

    Without `augmented`, every epoch sees the same crops.
    """
    data = config.data
    if not data.train:
        raise UserError("data.train names no set to train on", "Choose a dataset: data=synthetic, data=coco, …")
    datasets = [
        MeshDataset(
            set_config.annotations,
            set_config.images,
            image_size=data.image_size,
            contrast=data.contrast,
            augmentation=data.augmentation if augmented else None,
            seed=config.seed,
            keep_faulty=config.trainer.on_bad_sample == "skip",
            shuffle_images=config.trainer.shuffle_images,
            limit=set_config.limit,
            split=set_config.split,
            pixel_origin=set_config.pixel_origin,
        )
        for set_config in data.train.values()
    ]
    for name, dataset in zip(data.train, datasets, strict=True):
        faulty = dataset.annotations.faulty
        refuse_many(list(faulty.values()), f"train.{name}", len(dataset), config.trainer.max_bad_fraction)
    ratios = [set_config.ratio for set_config in data.train.values()]
    return Mixture(datasets, ratios, length=sum(map(len, datasets)), seed=config.seed)


def open_batches(
    training: Mixture,
    cached: Dataset[Any] | None,
    epoch: int,
    step: int,
    config: TrainConfig,
    distributed: Distributed,
    samples: Dataset[Any] | None = None,
) -> Iterator[dict[str, torch.Tensor]]:
    """All batches of this process from (`epoch`, `step`) to the end of the run; see `EpochBatches`.

    While the backbone is frozen, they come from `cached`, which gives whole batches, if that is there. `samples` are
    the samples of `training`, where an objective adds something to them.
    """
    until = min(config.trainer.freeze_backbone, config.trainer.epochs) if cached is not None else 0
    if cached is not None and epoch < until:
        batches = _order(len(training), epoch, step, until, config, distributed)
        yield from DataLoader(cached, batch_sampler=batches, collate_fn=_as_it_is, generator=torch.Generator())
        epoch, step = until, 0
    if epoch < config.trainer.epochs:
        batches = _order(len(training), epoch, step, config.trainer.epochs, config, distributed)
        yield from _image_loader(samples or training_samples(training, config), batches, config, distributed)


def training_samples(training: Mixture, config: TrainConfig) -> Dataset[Any]:
    """The samples of `training`, of which faulty ones are replaced where `config` says so."""
    return TrainingSamples(training) if config.trainer.on_bad_sample == "skip" else training


def _as_it_is(batch: Any) -> Any:
    return batch


def _order(
    length: int, epoch: int, step: int, epochs: int, config: TrainConfig, distributed: Distributed
) -> EpochBatches:
    return EpochBatches(
        length,
        config.trainer.batch_size,
        config.seed,
        epochs,
        epoch=epoch,
        step=step,
        rank=distributed.rank,
        world_size=distributed.world_size,
    )


def _image_loader(
    samples: Dataset[Any], batches: EpochBatches, config: TrainConfig, distributed: Distributed
) -> DataLoader[Any]:
    return DataLoader(
        samples,
        batch_sampler=batches,
        **loader_processes(config.data.workers),
        pin_memory=distributed.device.type == "cuda",
        # Else the loader would draw its workers' seeds from the generator that dropout draws from.
        generator=torch.Generator(),
    )


def mean_parameters(training: Mixture) -> Mean:
    """Mean rotations (24,3,3), betas (10,) and camera (3,) over the training people that have SMPL labels.

    Where none has (sets with 2D labels alone), it is an upright T-pose seen from the front.
    """
    labels = [dataset.annotations for dataset in training.datasets]
    labelled = [one.has_smpl & ~np.isin(np.arange(len(one)), list(one.faulty)) for one in labels]
    pose = np.concatenate([one.pose[chosen] for one, chosen in zip(labels, labelled, strict=True)])
    betas = np.concatenate([one.shape[chosen] for one, chosen in zip(labels, labelled, strict=True)])
    return compute_mean_parameters(pose, betas)


def data_fingerprint(datasets: Iterable[MeshDataset]) -> str:
    """One hash of the annotations of several sets, in their order."""
    return hashlib.sha256("".join(fingerprint(one.annotations) for one in datasets).encode()).hexdigest()
