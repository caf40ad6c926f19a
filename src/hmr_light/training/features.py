"""Features of a frozen backbone, kept on disk: a regressor then trains at thousands of samples a second.

While the backbone is frozen, its features of an image change with the augmentation alone. So each person is augmented
in a fixed number of ways, the views, and the backbone runs once for each. Pass p over a set takes view p modulo their
number; view v is the very sample that pass v has without a cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from hmr_light.config.schema import TrainConfig
from hmr_light.config.signals import StopRequest
from hmr_light.config.strict import plain
from hmr_light.data.bad_samples import read_or_replace
from hmr_light.data.dataset import MeshDataset, Sample
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.data.workers import loader_processes
from hmr_light.errors import Interrupted, UserError
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import normalize
from hmr_light.training.disk_cache import Rows, cache_folder, fill, open_cache

_BATCH = 64


class CachedSamples(Dataset[Any]):
    """The samples of `mixture` with `features` (B, F) float16 in the place of images, for `stored` of each dataset.

    It is asked for whole batches of (epoch, position), and gives each as one dictionary.
    """

    def __init__(self, mixture: Mixture, stored: Sequence[dict[str, np.ndarray]]) -> None:
        self.mixture = mixture
        self.stored = stored

    def __len__(self) -> int:
        return len(self.mixture)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> dict[str, torch.Tensor]:
        rows = [self._row(*self.mixture.locate(*key)) for key in keys]
        chosen = torch.tensor([number for number, _ in rows])
        batch = {
            name: torch.from_numpy(np.stack([self.stored[number][name][row] for number, row in rows]))
            for name in self.stored[0]
        }
        return batch | {"dataset_index": chosen}

    def _row(self, chosen: int, pass_: int, index: int) -> tuple[int, int]:
        people = len(self.mixture.datasets[chosen])
        views = len(self.stored[chosen]["features"]) // people
        return chosen, pass_ % views * people + index


def cached_samples(
    mixture: Mixture,
    config: TrainConfig,
    backbone: nn.Module,
    distributed: Distributed,
    say: Callable[[str], None],
    stop: StopRequest,
) -> CachedSamples:
    """`mixture` with the features of `backbone`, from the disk as far as they are there, else computed now.

    They are kept in `$HMR_LIGHT_HOME/cache/features`, in a folder for each set, backbone, size, and augmentation. A
    computation that was interrupted goes on where it was. The main process computes; the others wait.
    Raises `UserError` where the disk is full, or a feature is not finite.
    """
    if distributed.is_main:
        for dataset in mixture.datasets:
            _compute(dataset, config, backbone, distributed.device, say, stop)
    if distributed.any(stop.requested):  # all wait here
        raise Interrupted("The features so far are kept.")
    return CachedSamples(mixture, [open_cache(_folder(one, config, backbone)) for one in mixture.datasets])


def _folder(dataset: MeshDataset, config: TrainConfig, backbone: nn.Module) -> Path:
    weights = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        weights.update(name.encode())
        weights.update(value.detach().cpu().contiguous().numpy().tobytes())
    return cache_folder(
        "features",
        dataset,
        backbone=config.backbone,
        weights=weights.hexdigest(),
        augmentation=plain(config.data.augmentation),
        seed=dataset.seed,
        views=config.trainer.feature_views,
        on_bad_sample=config.trainer.on_bad_sample,
    )


def _compute(
    dataset: MeshDataset,
    config: TrainConfig,
    backbone: nn.Module,
    device: torch.device,
    say: Callable[[str], None],
    stop: StopRequest,
) -> None:
    rows = len(dataset) * config.trainer.feature_views

    def compute(done: int) -> Iterator[Rows]:
        loader = DataLoader(
            _Views(dataset, config.trainer.on_bad_sample == "skip"),
            batch_size=_BATCH,
            sampler=range(done, rows),
            **loader_processes(config.data.workers),
            generator=torch.Generator(),
        )
        for batch, features in _features(loader, backbone, device):
            yield {name: value.numpy() for name, value in batch.items()} | {"features": features}

    folder, what = _folder(dataset, config, backbone), f"features of {dataset.path.name}"
    fill(folder, rows, compute, what, say, stop, off="trainer.feature_views=0")


@torch.no_grad()
def _features(
    loader: DataLoader[Any], backbone: nn.Module, device: torch.device
) -> Iterator[tuple[dict[str, torch.Tensor], np.ndarray]]:
    training = backbone.training
    backbone.eval()
    try:
        fast = fuse_conv_bn(backbone)
    except UserError:  # it cannot be traced
        fast = backbone
    for batch in loader:
        features = fast(normalize(batch.pop("image").to(device))).half()
        if not features.isfinite().all():
            raise UserError(
                "a feature of the backbone is not finite in half precision", "Set trainer.feature_views=0: no cache."
            )
        yield batch, features.cpu().numpy()
    backbone.train(training)


class _Views(Dataset[Sample]):
    """All views of all people of a set, one view after the other."""

    def __init__(self, dataset: MeshDataset, replace_bad: bool) -> None:
        self.dataset = dataset
        self.replace_bad = replace_bad

    def __getitem__(self, row: int) -> Sample:
        view, index = divmod(row, len(self.dataset))
        if self.replace_bad:
            return read_or_replace(self.dataset, index, view, self.dataset.seed)
        return self.dataset[view, index]
