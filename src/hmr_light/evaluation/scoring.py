"""Scores models on annotated images by a protocol; see `hmr_light.evaluation.protocols` for what the figures are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.utils.data import DataLoader

from hmr_light.data.bad_samples import EvaluationSamples
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.data.workers import loader_processes
from hmr_light.evaluation.metrics import MetricSums
from hmr_light.evaluation.protocols import Scorer
from hmr_light.model.hmr import normalize
from hmr_light.model.regressors import SmplParameters

Predictor = Callable[[torch.Tensor], SmplParameters]
"""RGB crops uint8 (B, 3, S, S) → parameters; see `hmr_light.model.predictor.CropPredictor`."""


def on_crops(network: Callable[[torch.Tensor], SmplParameters]) -> Predictor:
    """`network`, which takes normalised images on its own device, as a predictor of crops on that device."""
    return lambda crops: network(normalize(crops))


@torch.no_grad()
def score(
    predictors: Mapping[str, Predictor],
    dataset: MeshDataset,
    scorer: Scorer,
    distributed: Distributed,
    *,
    batch_size: int,
    workers: int,
    on_batch: Callable[[int], None] = lambda images: None,
    on_bad: Callable[[torch.Tensor], None] | None = None,
) -> dict[str, MetricSums]:
    """The errors of each predictor on everyone in `dataset` who counts, by `scorer`, pooled over all processes.

    Every process takes every `world_size`-th sample,
    none twice, so that the figures do not depend on the number of processes. `on_batch` is told of the images done.
    Samples that cannot be read raise `UserError`, or, if there is an `on_bad`, are left out, counted as dropped, and
    told to it by index, (K,) int64, those of all processes.
    """
    indices = scorer.protocol.people(dataset.annotations)[distributed.rank :: distributed.world_size].tolist()
    loader = DataLoader(
        torch.utils.data.Subset(EvaluationSamples(dataset) if on_bad else dataset, indices),
        batch_size=batch_size,
        **loader_processes(workers if len(indices) > batch_size else 0),
        pin_memory=distributed.device.type == "cuda",
        generator=torch.Generator(),
    )
    sums = {name: scorer.new_sums() for name in predictors}
    skipped: list[int] = []
    for batch in loader:
        left_out = batch["skipped"][:, 0] >= 0 if on_bad else None
        if left_out is not None and left_out.any():
            skipped += batch["skipped"][left_out, 0].tolist()
        genders = dataset.annotations.gender[batch["index"].numpy()]
        batch = {name: value.to(distributed.device, non_blocking=True) for name, value in batch.items()}
        truth = scorer.truth(batch, genders)
        for name, predict in predictors.items():
            predicted = scorer.predicted(predict(batch["image"]))
            errors = scorer.compare(predicted, truth)
            if left_out is not None:
                errors = {key: _without(value, left_out) for key, value in errors.items()}
            sums[name].add(errors, (predicted.joints, truth.joints))
        on_batch(len(batch["image"]) * distributed.world_size)
    for value in sums.values():
        value.pool(distributed.all_reduce_sum)
    if on_bad and (everyones := [index for own in distributed.all_gather(skipped) for index in own]):
        on_bad(torch.tensor(everyones))
    return sums


def _without(errors: torch.Tensor, left_out: torch.Tensor) -> torch.Tensor:
    """`errors` (B, …) with NaN for the people that `left_out` (B,) names."""
    errors = errors.clone()
    errors[left_out.to(errors.device)] = torch.nan
    return errors


def headline(scores: Mapping[str, MetricSums]) -> dict[str, float]:
    """The figures of several sets by their MLflow names: the first set's plain, and every set's under its own name."""
    figures: dict[str, float] = {}
    for name, sums in scores.items():
        found = sums.figures()
        figures = figures or dict(found)
        figures |= {f"{name}/{metric}": value for metric, value in found.items()}
        if sums.dropped:
            figures[f"{name}/dropped"] = float(sums.dropped)
    return figures
