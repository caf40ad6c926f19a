"""Several datasets as one, each with its share of every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset

from hmr_light.data.dataset import MeshDataset, Sample
from hmr_light.errors import UserError


class Mixture(Dataset[Sample]):
    """`length` samples an epoch, of which each dataset gives its share by `ratios`; a sample adds `dataset_index` ().

    `mixture[epoch, position]` takes position's dataset by contiguous ranges of positions, so the shares are exact in
    every epoch (the sampler shuffles the positions). Each pass over a dataset is in a new permutation, and passes
    continue from epoch to epoch: no person is used twice before every person was used once. A sample's augmentation is
    drawn by (seed, pass, index), so no sample repeats. SPIN draws a dataset for each sample instead.
    """

    def __init__(self, datasets: Sequence[MeshDataset], ratios: Sequence[float], length: int, *, seed: int = 0) -> None:
        shares = np.asarray(ratios, np.float64)
        if len(shares) != len(datasets) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
            raise UserError(
                f"the ratios {list(ratios)} do not share an epoch among {len(datasets)} sets",
                "Give each set a ratio of zero or more, and one of them more than zero.",
            )
        self.datasets = list(datasets)
        self.length = length
        self.seed = seed
        self._ends = np.rint(np.cumsum(shares) / shares.sum() * self.length).astype(int)

    def __len__(self) -> int:
        return self.length

    def locate(self, epoch: int, position: int) -> tuple[int, int, int]:
        """Which dataset, in which of its passes, and which of its people stand at `position` of `epoch`."""
        chosen = int(np.searchsorted(self._ends, position, side="right"))
        start = int(self._ends[chosen - 1]) if chosen else 0
        share, people = int(self._ends[chosen]) - start, len(self.datasets[chosen])
        pass_, visit = divmod(epoch * share + position - start, people)
        return chosen, pass_, int(_permutation(people, self.seed, chosen, pass_)[visit])

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        chosen, pass_, index = self.locate(*key)
        return self.datasets[chosen][pass_, index] | {"dataset_index": torch.tensor(chosen)}


@lru_cache(maxsize=32)
def _permutation(length: int, *seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(length).astype(np.int32)
