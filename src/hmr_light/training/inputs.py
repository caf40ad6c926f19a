"""What a run reads before it begins: data, body, protocol, the model's first weights, and what it is to learn.

Nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from hmr_light.body import SMPL, load_body
from hmr_light.checkpoints.format import read_last
from hmr_light.checkpoints.loading import start_from
from hmr_light.checkpoints.models import find_checkpoint
from hmr_light.checkpoints.transforms import apply_transforms
from hmr_light.config.schema import TrainConfig
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.errors import UserError
from hmr_light.evaluation.datasets import open_evaluation
from hmr_light.evaluation.protocols import Scorer, build_protocol
from hmr_light.model.hmr import HMR, build_model, check_image_size
from hmr_light.training.datasets import mean_parameters, open_training
from hmr_light.training.distillation import build_distillation_config, distillation
from hmr_light.training.objectives import Objective, check_labels, supervised
from hmr_light.training.run_directory import Found
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
    scorer = protocol.scorer(body, config.body.regressors(), image_size=config.data.image_size)
    # Without training, the data need not fill a batch.
    steps_per_epoch = EpochBatches.steps(len(training), config.trainer.batch_size) if config.trainer.epochs else 0
    return RunInputs(distributed, body, training, evaluation, scorer, steps_per_epoch)


def initial_model(config: TrainConfig, training: Mixture, found: Found | None = None) -> HMR:
    """The model that `config` describes, on the CPU, before the first step.

    Its regressor starts from the mean parameters of `training`; `config.init` gives it the weights of a checkpoint.
    Where `found`, the run to be continued, has a saved state, no other file of weights is read, and the model's
    structure is that of the state. A run of `compress` that has not been trained yet starts from its first checkpoint.
    Raises `UserError` for weights that cannot be trained.
    """
    torch.manual_seed(config.seed)
    continued = found is not None and found.has_state
    backbone = {**config.backbone, "weights": None} if continued else config.backbone
    model = build_model({"backbone": backbone, "regressor": config.regressor})
    name, batch = str(config.backbone["name"]), config.trainer.batch_size
    check_image_size(model, name, config.data.image_size, "data.image_size", batch)
    model.regressor.set_mean(*mean_parameters(training))
    if found is not None and continued:
        return apply_transforms(model.eval(), read_last(found.checkpoints)[0].get("transforms", ()))
    start = config.init if found is None or config.compressed is None else _compressed(found)
    if start is None:
        return model
    model = start_from(model, start, config.init_allow)
    if config.trainer.epochs and not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(
            f"nothing in {start} can be trained: its weights are integers",
            "Start from the checkpoint that it was made of, or compress that with compression.train=true.",
        )
    return model


def _compressed(found: Found) -> Path:
    """The checkpoint that `compress` left in a run before any training."""
    path = found.checkpoints / "epoch-000.pt"
    if not path.is_file():
        raise UserError(
            f"{found.run_dir} was stopped before its compressed model was written",
            "Repeat its hmr-light compress command with resume=auto.",
        )
    return path


def build_objective(config: TrainConfig, model: HMR, inputs: RunInputs) -> Objective:
    """What `config.objective` names: by it, `model` is to learn from `inputs`.

    A new model that learns from a teacher where no person has a label starts from the teacher's mean. Raises
    `UserError` for wrong options, labels that are wanted and not there, and a teacher that cannot be learned from.
    """
    if config.objective == "supervised":
        if config.trainer.epochs:
            check_labels(inputs.training, config.loss)
        return supervised(config.loss, inputs.body)
    options = build_distillation_config(config.distillation)
    if options.labels and config.trainer.epochs:
        check_labels(inputs.training, config.loss)
    teacher = find_checkpoint(options.teacher, config.tracking.uri)
    objective = distillation(config, model, inputs.body, teacher, inputs.distributed)
    is_new = config.init is None and config.compressed is None
    if is_new and not any(one.annotations.has_smpl.any() for one in inputs.training.datasets):
        for name in ("init_pose", "init_shape", "init_cam"):
            if (mean := teacher.state.get(f"regressor.{name}")) is not None:
                model.regressor.get_buffer(name).copy_(mean)
    return objective
