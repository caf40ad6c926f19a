"""Features of a frozen backbone, kept on disk: a regressor then trains at thousands of samples a second.

While the backbone is frozen, its features of an image change with the augmentation alone. So each person is augmented
in a fixed number of ways, the views, and the backbone runs once for each. Pass p over a set takes view p modulo their
number; view v is the very sample that pass v has without a cache.
"""

from __future__ import annotations

import hashlib
import json
import os
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
from hmr_light.data.annotations import fingerprint
from hmr_light.data.bad_samples import read_or_replace
from hmr_light.data.dataset import MeshDataset, Sample
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.data.workers import loader_processes
from hmr_light.errors import Interrupted, UserError
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import normalize
from hmr_light.paths import atomic_write, home

VERSION = 1
_BATCH = 64
_SAVED_EVERY = 16
"""Batches between notes of how far the cache is: what is computed again after an interruption."""


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
    return CachedSamples(mixture, [_opened(_folder(one, config, backbone)) for one in mixture.datasets])


def _folder(dataset: MeshDataset, config: TrainConfig, backbone: nn.Module) -> Path:
    """Where the features of `dataset` are: all that they depend on is in the name."""
    weights = hashlib.sha256()
    for name, value in sorted(backbone.state_dict().items()):
        weights.update(name.encode())
        weights.update(value.detach().cpu().contiguous().numpy().tobytes())
    facts = {
        "version": VERSION,
        "annotations": fingerprint(dataset.annotations),
        "images": str(dataset.image_root.resolve()),
        "backbone": config.backbone,
        "weights": weights.hexdigest(),
        "image_size": dataset.image_size,
        "augmentation": plain(config.data.augmentation),
        "seed": dataset.seed,
        "views": config.trainer.feature_views,
        "shuffle_images": dataset.shuffle_images,
        "on_bad_sample": config.trainer.on_bad_sample,
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
    return home() / "cache" / "features" / key[:24]


def _compute(
    dataset: MeshDataset,
    config: TrainConfig,
    backbone: nn.Module,
    device: torch.device,
    say: Callable[[str], None],
    stop: StopRequest,
) -> None:
    folder, people = _folder(dataset, config, backbone), len(dataset)
    rows = people * config.trainer.feature_views
    done = _rows_done(folder)
    if done >= rows:
        say(f"features of {dataset.path.name}: from {folder}")
        return
    say(f"features of {dataset.path.name}: {rows} to compute, {done} done; {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    loader = DataLoader(
        _Views(dataset, config.trainer.on_bad_sample == "skip"),
        batch_size=_BATCH,
        sampler=range(done, rows),
        **loader_processes(config.data.workers),
        generator=torch.Generator(),
    )
    arrays: dict[str, np.memmap] = {}
    for number, (batch, features) in enumerate(_features(loader, backbone, device), 1):
        values = {name: value.numpy() for name, value in batch.items()} | {"features": features}
        if not arrays:
            arrays = {name: _array(folder, name, rows, value) for name, value in values.items()}
        end = done + len(features)
        for name, value in values.items():
            arrays[name][done:end] = value
        done = end
        if number % _SAVED_EVERY == 0 or done == rows or stop.requested:
            for array in arrays.values():
                array.flush()
            with atomic_write(folder / "rows_done") as temporary:
                temporary.write_text(str(done))
            say(f"features of {dataset.path.name}: {done} of {rows}")
            if stop.requested:
                return


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


def _array(folder: Path, name: str, rows: int, example: np.ndarray) -> np.memmap:
    path = folder / f"{name}.npy"
    shape = (rows, *example.shape[1:])
    if path.is_file():
        return np.lib.format.open_memmap(path, mode="r+")
    try:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=example.dtype, shape=shape)
        if hasattr(os, "posix_fallocate"):
            # Otherwise a full disk ends the process with a signal when a page is written.
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise UserError(
            f"cannot keep features in {folder}: {error.strerror}", "Free some space, or set trainer.feature_views=0."
        ) from None
    return array


def _rows_done(folder: Path) -> int:
    path = folder / "rows_done"
    return int(path.read_text()) if path.is_file() else 0


def _opened(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
