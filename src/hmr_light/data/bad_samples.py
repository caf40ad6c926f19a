"""Samples that cannot be read: another one takes their place, always the same one, and they are named.

What takes a place is a function of (seed, pass, index), as all randomness here, so neither the number of workers nor a
restart changes it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from hmr_light.data.dataset import MeshDataset, Sample
from hmr_light.data.mixture import Mixture
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

FILE_NAME = "bad_samples.csv"
ATTEMPTS = 8
"""Samples that are tried for one place; more bad ones than that in a row are no accident."""

BadSamples = dict[tuple[str, int], str]
"""Why each bad sample cannot be read, by set and index, in the order in which they were met."""


class TrainingSamples(Dataset[Sample]):
    """A mixture's samples; a bad one's place is taken by another of the same set.

    A sample adds `skipped` (ATTEMPTS,) int64: the indices that could not be read, then -1.
    """

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        chosen, pass_, index = self.mixture.locate(*key)
        sample = read_or_replace(self.mixture.datasets[chosen], index, pass_, self.mixture.seed)
        return sample | {"dataset_index": torch.tensor(chosen)}


class EvaluationSamples(Dataset[Sample]):
    """The people of one set, unaugmented; a bad one's place is taken by another, to be left out: `skipped` tells."""

    def __init__(self, dataset: MeshDataset) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return read_or_replace(self.dataset, index, None, 0)


def read_or_replace(dataset: MeshDataset, index: int, pass_: int | None, seed: int) -> Sample:
    """`dataset[index]`, of a training pass `dataset[pass_, index]`, or what takes its place, and `skipped`.

    Raises `UserError` after `ATTEMPTS` bad samples.
    """
    skipped = torch.full((ATTEMPTS,), -1)
    others = np.random.default_rng((seed, pass_ or 0, index)).integers(len(dataset), size=ATTEMPTS)
    for attempt in range(ATTEMPTS):
        chosen = int(others[attempt - 1]) if attempt else index
        try:
            return dataset[chosen if pass_ is None else (pass_, chosen)] | {"skipped": skipped}
        except UserError as error:
            skipped[attempt] = chosen
            last = error
    raise UserError(f"{ATTEMPTS} samples in a row cannot be read; the last: {last.message}", last.remedy)


def name_bad(bad: BadSamples, name: str, dataset: MeshDataset, skipped: torch.Tensor) -> None:
    """Add what `skipped` (…,) int64 lists of `dataset` to `bad`, with the reason, which a second look gives."""
    for index in skipped[skipped >= 0].tolist():
        if (name, index) not in bad:
            try:
                dataset[index]
                bad[name, index] = "could be read when tried again"
            except UserError as error:
                bad[name, index] = error.message


def write_bad(path: Path, bad: BadSamples, datasets: Mapping[str, MeshDataset]) -> None:
    """Write what is bad as a table: set, index, image, reason."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("set", "index", "image", "reason"))
        for (name, index), reason in bad.items():
            writer.writerow((name, index, datasets[name].annotations.imgname[index], reason))


def refuse_many(reasons: Sequence[str], name: str, people: int, max_fraction: float, path: Path | None = None) -> None:
    """Raise `UserError` if the set `name`, of `people` people, has more than `max_fraction` bad ones, for `reasons`."""
    if len(reasons) > max_fraction * people:
        named = f"{path} names them all. " if path else ""
        raise UserError(
            f"{len(reasons)} of the {people} samples of '{name}' cannot be used, more than "
            f"trainer.max_bad_fraction={max_fraction:g}; one of them: {reasons[-1]}",
            f"{named}Mend them, leave them out, or raise the limit.",
        )
