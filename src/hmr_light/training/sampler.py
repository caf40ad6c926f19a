"""The order of the training samples: a function of seed, epoch and step, never of process state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hmr_light.errors import UserError


def epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
    """A permutation of `range(length)`, (length,) int64: the order in which epoch `epoch` visits the samples."""
    return np.random.default_rng((seed, epoch)).permutation(length)


@dataclass(frozen=True)
class EpochBatches:
    """A batch sampler that gives this process' part of every batch, from (`epoch`, `step`) to the last of `epochs`.

    One iterator serves the whole run, so that loader workers neither restart nor idle between epochs. An item is a list
    of (epoch, index) pairs; the pair is all that a sample's randomness depends on. `batch_size` counts the images of
    all processes together and the batch is cut between them, so that one process and many train on the same batches.
    The samples left over at an epoch's end are left out, as is usual in training.
    """

    length: int
    batch_size: int
    seed: int
    epochs: int
    epoch: int = 0
    step: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise UserError(
                f"trainer.batch_size={self.batch_size} cannot be shared by {self.world_size} processes",
                f"Give a multiple of {self.world_size}.",
            )

    @staticmethod
    def steps(length: int, batch_size: int) -> int:
        """Steps of an epoch. Raises `UserError` if the samples do not fill one batch."""
        if length < batch_size:
            raise UserError(
                f"trainer.batch_size={batch_size} is more than the {length} training samples",
                f"Give trainer.batch_size={length} or less.",
            )
        return length // batch_size

    @property
    def steps_per_epoch(self) -> int:
        return self.steps(self.length, self.batch_size)

    def __len__(self) -> int:
        return (self.epochs - self.epoch) * self.steps_per_epoch - self.step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        share = self.batch_size // self.world_size
        for epoch in range(self.epoch, self.epochs):
            order = epoch_order(self.length, self.seed, epoch)
            for step in range(self.step if epoch == self.epoch else 0, self.steps_per_epoch):
                start = step * self.batch_size + self.rank * share
                yield [(epoch, int(index)) for index in order[start : start + share]]
