"""What a run reads before it begins: data, body, protocol, and the model's first weights. Nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hmr_light.body import SMPL, load_body
from hmr_light.checkpoints.loading import start_from
from hmr_light.config.schema import TrainConfig
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.evaluation.datasets import open_evaluation
from hmr_light.evaluation.protocols import Scorer, build_protocol
from hmr_light.model.hmr import HMR, build_model, check_image_size
from hmr_light.training.datasets import mean_parameters, open_training
from hmr_light.training.sampler import EpochBatches


@dataclass(frozen=True)
class RunInputs:
    """What a run reads, opened and checked."""

    distributed: Distributed
    body: SMPL
    training: Mixture
    evaluation: dict[str, MeshDataset]
    """By name; the first is the primary one."""
    scorer: Scorer
    steps_per_epoch: int


def open_inputs(config: TrainConfig, distributed: Distributed) -> RunInputs:
    """Open everything that `config` names but the model. Raises `UserError` for what is missing, damaged or unfit."""
    body = load_body(**config.body.files()).to(distributed.device)
    protocol = build_protocol(config.protocol)
    training = open_training(config)
    evaluation = open_evaluation(config.data, protocol, keep_faulty=config.trainer.on_bad_validation_sample == "skip")
    scorer = Scorer(protocol, body, config.body.regressors())
    steps_per_epoch = EpochBatches.steps(len(training), config.trainer.batch_size)
    return RunInputs(distributed, body, training, evaluation, scorer, steps_per_epoch)


def initial_model(config: TrainConfig, training: Mixture, *, pretrained: bool = True) -> HMR:
    """The model that `config` describes, on the CPU, before the first step.

    Its regressor starts from the mean parameters of `training`; `config.init` gives it the weights of a checkpoint.
    With `pretrained=False` no file of weights is read, for a run that goes on from its saved state.
    """
    torch.manual_seed(config.seed)
    backbone = config.backbone if pretrained else {**config.backbone, "weights": None}
    model = build_model({"backbone": backbone, "regressor": config.regressor})
    check_image_size(model, str(config.backbone["name"]), config.data.image_size, "data.image_size")
    model.regressor.set_mean(*mean_parameters(training))
    if pretrained and config.init is not None:
        start_from(model, config.init.expanduser(), config.init_allow)
    return model
