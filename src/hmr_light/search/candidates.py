"""Networks of a trained supernet, measured: norms for each, then the error on the first evaluation set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hmr_light.checkpoints.format import save_model
from hmr_light.compression.calibration import calibration_batches
from hmr_light.compression.recalibrate import recalibrate
from hmr_light.config.schema import CalibrationConfig, TrainConfig
from hmr_light.config.strict import plain
from hmr_light.data.dataset import MeshDataset
from hmr_light.evaluation.protocols import Pose, Scorer
from hmr_light.evaluation.scoring import on_crops, score
from hmr_light.model.hmr import HMR
from hmr_light.search.shared_weights import Supernet
from hmr_light.search.space import Values
from hmr_light.training.inputs import RunInputs

BATCH_SIZE = 64


class Candidates:
    """Takes networks out of a supernet."""

    def __init__(self, supernet: Supernet, config: TrainConfig, inputs: RunInputs, images: int) -> None:
        """Batch norms are measured on `images` images of the training set, which are read once."""
        self._supernet, self._inputs = supernet, inputs
        calibration = CalibrationConfig(images=images, batch_size=BATCH_SIZE, batch_norms=True)
        self._batches = [
            {"image": batch["image"]} for batch in calibration_batches(config, calibration, inputs.distributed)
        ]
        self._people = _Kept(next(iter(inputs.evaluation.values())))
        self._scorer = _KeptTruth(inputs.scorer)
        skips = config.trainer.on_bad_validation_sample == "skip"
        self._skip: Callable[[torch.Tensor], None] | None = (lambda indices: None) if skips else None

    def network(self, values: Values) -> HMR:
        """The network of `values`, ready to be used."""
        model = self._supernet.network(values).to(self._inputs.distributed.device)
        recalibrate(model, self._batches)
        return model.eval()

    def figures(self, values: Values) -> dict[str, float]:
        """The figures of that network on the first evaluation set."""
        model, inputs = self.network(values), self._inputs
        scores = score(
            {"model": on_crops(model)},
            self._people,  # type: ignore[arg-type]
            self._scorer,  # type: ignore[arg-type]
            inputs.distributed,
            batch_size=BATCH_SIZE,
            workers=0,
            on_bad=self._skip,
        )
        return scores["model"].figures()

    def write(self, path: Path, values: Values, config: TrainConfig) -> None:
        """Write that network as a checkpoint of `config`, which describes it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_model(path, self.network(values), plain(config), 0, self.figures(values))


class _Kept(Dataset[Any]):
    """The samples of `dataset`, kept in memory once they were read: the crops of an evaluation never change."""

    def __init__(self, dataset: MeshDataset) -> None:
        self.annotations, self._dataset = dataset.annotations, dataset
        self._samples: dict[int, Mapping[str, Any]] = {}

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        if index not in self._samples:
            self._samples[index] = self._dataset[index]
        return self._samples[index]

    def __len__(self) -> int:
        return len(self._dataset)


class _KeptTruth:
    """`scorer`, which keeps the truth of each batch, as far as a GiB holds it: it is the same for every network."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._room = scorer, 2**30
        self._kept: dict[tuple[int, ...], Pose] = {}

    def truth(self, batch: Mapping[str, torch.Tensor], gender: np.ndarray) -> Pose:
        key = tuple(batch["index"].tolist())
        if (known := self._kept.get(key)) is not None:
            return known
        found = self._scorer.truth(batch, gender)
        size = sum(value.nbytes for value in found if value is not None)
        if size <= self._room:
            self._room -= size
            self._kept[key] = found
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)
