"""The figures of a checkpoint on annotated images, beside those of its mean pose; all commands that score use it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch

from hmr_light.checkpoints.exported import ExportedModel
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.cost.variants import Runner
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.errors import UserError
from hmr_light.evaluation.metrics import MetricSums
from hmr_light.evaluation.protocols import DEFAULT, Scorer
from hmr_light.evaluation.scoring import Predictor, on_crops, score
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.regressors import MeanRegressor

MODEL, MEAN_POSE = "model", "mean_pose"

Scores = dict[str, MetricSums]
"""The errors of the model and of the mean pose on one set, by these two names."""


def evaluate_checkpoint(
    checkpoint: Checkpoint | ExportedModel,
    datasets: Mapping[str, MeshDataset],
    scorer: Scorer,
    distributed: Distributed,
    *,
    batch_size: int | None = None,
    workers: int = 0,
    on_batch: Callable[[str, int], None] = lambda name, images: None,
    on_set: Callable[[str, Scores], None] = lambda name, scores: None,
) -> dict[str, float]:
    """The figures of `checkpoint` on each of `datasets`, by their MLflow names.

    `batch_size` None takes what suits the device. `on_batch` is told the set's name and how many images more are done,
    `on_set` the set's name and its scores. Nothing is printed or written. Raises `UserError` for images that cannot be
    read, and for weights that do not fit.
    """
    predictors = build_predictors(checkpoint, distributed.device)
    figures: dict[str, float] = {}
    for name, dataset in datasets.items():
        scores = score(
            predictors,
            dataset,
            scorer,
            distributed,
            batch_size=batch_size or best_batch_size(distributed.device),
            workers=workers,
            on_batch=partial(on_batch, name),
        )
        on_set(name, scores)
        figures |= name_figures(figure_prefix(name, checkpoint, scorer.protocol.name), scores)
    return figures


def build_predictors(checkpoint: Checkpoint | ExportedModel, device: torch.device) -> dict[str, Predictor]:
    """The checkpoint's model, made fast for `device`, and the mean pose that it starts from; of a file the model."""
    if isinstance(checkpoint, ExportedModel):
        return {MODEL: checkpoint.predictor}
    model = checkpoint.build().to(device)
    mean = MeanRegressor().to(device)
    mean.load_state_dict({key: value for key, value in model.regressor.state_dict().items() if key.startswith("init_")})
    return {MODEL: make_fast(model, device), MEAN_POSE: on_crops(mean)}


def make_fast(model: HMR, device: torch.device) -> Predictor:
    """`model`, in evaluation mode, as it computes the same fastest: with its regressor as one affine map and, on a CPU,
    its batch norms within its convolutions and the numbers of a pixel side by side in memory.
    """
    if device.type != "cpu":
        return on_crops(Runner(model, frozenset({"folded"}), device, None))
    try:
        runner = Runner(model, frozenset({"folded", "fused", "channels_last"}), device, None)
    except UserError:  # a network that cannot be traced
        runner = Runner(model, frozenset({"folded", "channels_last"}), device, None)
    return lambda crops: runner(runner.prepare(normalize(crops)))


def best_batch_size(device: torch.device) -> int:
    """How many images at once are fastest: few fit a CPU's cache."""
    return 8 if device.type == "cpu" else 64


def figure_prefix(name: str, checkpoint: Checkpoint | ExportedModel, protocol: str) -> str:
    """What figures on the set `name` are called by: with the protocol, unless it is the run's own."""
    own = checkpoint.config.get("protocol", {}).get("name", DEFAULT)
    return name if protocol == own else f"{name}:{protocol}"


def name_figures(prefix: str, scores: Scores) -> dict[str, float]:
    """The means of one set's scores by their MLflow names, which begin with `prefix`."""
    figures = {f"{prefix}/{metric}": value for metric, value in scores[MODEL].figures().items()}
    if MEAN_POSE in scores:
        figures |= {f"{prefix}/{MEAN_POSE}_{metric}": value for metric, value in scores[MEAN_POSE].means().items()}
    figures |= {f"{prefix}/{name}": value for name, value in scores[MODEL].by_joint().items()}
    return figures | {f"{prefix}/dropped": float(scores[MODEL].dropped)}
