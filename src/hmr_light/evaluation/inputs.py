"""What an evaluation reads before it scores: sets, body, protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from hmr_light.body import load_body
from hmr_light.config.schema import EvaluateConfig
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed, init_distributed
from hmr_light.data.workers import explain_worker_failures
from hmr_light.errors import UserError
from hmr_light.evaluation.datasets import open_evaluation
from hmr_light.evaluation.protocols import Scorer, build_protocol


@dataclass(frozen=True)
class EvaluationInputs:
    """What a checkpoint is scored on, and by what."""

    datasets: dict[str, MeshDataset]
    scorer: Scorer
    distributed: Distributed


@contextmanager
def open_inputs(config: EvaluateConfig, image_size: int) -> Iterator[EvaluationInputs]:
    """Open everything that `config` names but the checkpoint, whose network takes images of `image_size`.

    Within the block the other processes are joined, and a loader's failure is told. Raises `UserError` for what is
    missing, damaged or unfit.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    protocol = build_protocol(config.protocol)
    datasets = open_evaluation(replace(config.data, image_size=image_size), protocol)
    if not datasets:
        raise UserError(
            f"data={config.data.name} has no set to evaluate on", "Choose one that has: data=synthetic_test."
        )
    with init_distributed(config.device) as distributed, explain_worker_failures():
        body = load_body(**config.body.files()).to(distributed.device)
        scorer = protocol.scorer(body, config.body.regressors(), image_size=image_size)
        yield EvaluationInputs(datasets, scorer, distributed)
