"""Learning from another model: its predictions, and its features, for the same images.

The teacher sees each image once a step, in evaluation, in its own size. What it predicts needs no label, so that any
photographs with boxes are data; the losses of the labels may be added. Each term's mean is over all numbers.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn.functional import interpolate, l1_loss, mse_loss

from hmr_light.body import SMPL
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.models import predictor_of
from hmr_light.config.registry import check_options
from hmr_light.config.schema import TrainConfig, TrainerConfig
from hmr_light.config.signals import StopRequest
from hmr_light.data.distributed import Distributed
from hmr_light.data.mixture import Mixture
from hmr_light.errors import UserError
from hmr_light.geometry import project, rotation_angle, weak_perspective_translation
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import HMR
from hmr_light.model.losses import LossTerm, build_loss_config, compute_losses, from_mid_hip
from hmr_light.model.regressors import SmplParameters
from hmr_light.training.adapters import BACKBONE, FeatureAdapters, Student, StudentPrediction, features_of
from hmr_light.training.objectives import Batch, Network, Objective, pose_body, with_vertices
from hmr_light.training.provenance import lineage_of
from hmr_light.training.teacher_cache import OFF, TaughtSamples, kept_prediction, refuse_changing_images, taught_samples

_OUTPUTS = ("rotations", "betas", "camera", "joints_3d", "joints_2d", "vertices")
_OF_A_BODY = ("betas", "joints_3d", "joints_2d", "vertices")
"""What means nothing from one body to another."""
_TERMS = (*_OUTPUTS, "features", "labels")


@dataclass(frozen=True, kw_only=True)
class DistillationConfig:
    """What is learned of a teacher; `conf/distillation/` says what each option means."""

    name: str
    teacher: str
    norm: str
    rotation_error: str
    rotations: float
    betas: float
    camera: float
    joints_3d: float
    joints_2d: float
    vertices: float
    features: float
    labels: float
    layers: Sequence[str]
    schedule: dict[str, Any] | None
    cache: bool = False

    def __post_init__(self) -> None:
        for option, choices in (("norm", ("l1", "mse")), ("rotation_error", ("geodesic", "l1", "mse"))):
            if getattr(self, option) not in choices:
                remedy = f"Choose one of: {', '.join(choices)}."
                raise UserError(f"distillation.{option}={getattr(self, option)} is not a choice", remedy)
        for term in _TERMS:
            if not 0 <= getattr(self, term) < math.inf:
                raise UserError(f"distillation.{term}={getattr(self, term)} is no weight", "Give a number from 0 up.")
        if not any(getattr(self, term) for term in (*_OUTPUTS, "features")):
            raise UserError(
                "every term of the distillation has weight 0: nothing is learned of the teacher",
                "Give distillation.rotations=… or another, or leave objective=distillation out.",
            )
        for term, factors in (self.schedule or {}).items():
            if term not in _TERMS:
                raise UserError(f"distillation.schedule.{term} is no term", f"Terms are {', '.join(_TERMS)}.")
            if not isinstance(factors, list) or not factors or not all(map(_is_factor, factors)):
                raise UserError(
                    f"distillation.schedule.{term}={factors} is no list of factors",
                    "Give numbers from 0 up: [0,1] rises from the first step to the last.",
                )
        if not all(isinstance(pair, str) and pair.count(":") == 1 for pair in self.layers):
            raise UserError(
                f"distillation.layers={self.layers} is no list of OURS:TEACHER",
                "Name two layers for each: [output:output]",
            )

    def weight(self, term: str, progress: float) -> float:
        """The weight of `term` when the share `progress` of the run's steps is done."""
        factors = (self.schedule or {}).get(term, [1.0])
        return float(getattr(self, term) * np.interp(progress, np.linspace(0, 1, len(factors)), factors))


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def build_distillation_config(config: Mapping[str, Any]) -> DistillationConfig:
    """The distillation that `config` describes. Raises `UserError` for an option that is unknown, missing or wrong."""
    name = str(config.get("name"))
    check_options("distillation", name, DistillationConfig, config)
    return DistillationConfig(**config)


class Teacher:
    """A trained model that is compared with: it is not trained, and no gradient goes through it."""

    def __init__(
        self, checkpoint: Checkpoint, layers: Sequence[str], trainer: TrainerConfig, device: torch.device
    ) -> None:
        """`layers` are those of its backbone whose outputs are wanted; see `features_of`."""
        predictor = predictor_of(checkpoint, "cpu")
        self.image_size = predictor.image_size
        self.layers = tuple(layers)
        self.network = cast(HMR, predictor.network)
        if not set(self.layers) - {BACKBONE}:
            with contextlib.suppress(UserError):  # not every network can be traced
                self.network.backbone = fuse_conv_bn(self.network.backbone)
        self.network.requires_grad_(False).to(device)
        if trainer.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.in_half = trainer.precision == "bfloat16"

    def __call__(self, images: torch.Tensor) -> tuple[SmplParameters, list[torch.Tensor]]:
        """The parameters, float32, and the features of its layers, of normalised `images` (B, 3, S, S) of any size."""
        with torch.inference_mode():
            if images.shape[-1] != self.image_size:
                images = interpolate(images, self.image_size, mode="bilinear", antialias=True, align_corners=False)
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self.in_half):
                features, seen = features_of(self.network.backbone, images, self.layers)
                prediction = self.network.regressor(features)
        # A tensor of inference mode cannot take part in a loss; its copy can.
        return SmplParameters(*(value.clone().float() for value in prediction)), [one.clone() for one in seen]


def distillation(
    config: TrainConfig, model: HMR, body: SMPL, checkpoint: Checkpoint, distributed: Distributed
) -> Objective:
    """The objective of `config.distillation`: `model` learns what the model in `checkpoint` predicts.

    Raises `UserError` for options that are wrong, and for a teacher that `model` cannot learn from: of another body, or
    without a layer that is named.
    """
    options, loss = build_distillation_config(config.distillation), build_loss_config(config.loss)
    _refuse(options, config, checkpoint)
    layers = [tuple(pair.split(":")) for pair in options.layers] if options.features else []
    teacher = Teacher(checkpoint, [name for _, name in layers], config.trainer, distributed.device)
    adapters = None
    if layers:
        torch.manual_seed(config.seed)
        sizes = config.data.image_size, teacher.image_size
        adapters = FeatureAdapters(model.backbone, teacher.network.backbone, layers, *sizes).to(distributed.device)
    wants_vertices = bool(options.vertices) or bool(options.labels and "vertices" in loss.term_weights())
    error = mse_loss if options.norm == "mse" else l1_loss

    def losses(network: Network, batch: Batch, progress: float = 0.0) -> dict[str, LossTerm]:
        images = batch["image"]
        prediction = network(images)
        kept = kept_prediction(batch)
        target, target_features = (kept, []) if kept else teacher(images)
        joints, vertices = pose_body(body, prediction, wants_vertices)
        with torch.no_grad():
            target_joints, target_vertices = pose_body(body, target, bool(options.vertices))

        pairs: dict[str, tuple[torch.Tensor, torch.Tensor]] = {
            "betas": (prediction.betas, target.betas),
            "camera": (prediction.camera, target.camera),
            "joints_3d": (from_mid_hip(joints[:, -24:]), from_mid_hip(target_joints[:, -24:])),
            "joints_2d": (
                _projected(joints, prediction.camera, images.shape[-1]),
                _projected(target_joints, target.camera, teacher.image_size),
            ),
        }
        if vertices is not None and target_vertices is not None:
            pairs["vertices"] = vertices, target_vertices
        errors = {name: error(*pair, reduction="none") for name, pair in pairs.items() if getattr(options, name)}
        if options.rotations:
            errors["rotations"] = _rotation_error(prediction.rotations, target.rotations, options.rotation_error)
        # A backbone that is frozen has nothing to learn of features.
        if adapters and isinstance(prediction, StudentPrediction):
            errors["features"] = (prediction.features - adapters.targets(target_features)).square()
        terms = {
            f"teacher_{name}": LossTerm(each.sum(), each.new_full((), each.numel()), options.weight(name, progress))
            for name, each in errors.items()
        }
        if options.labels:
            labels, factor = with_vertices(batch, body, loss), options.weight("labels", progress)
            measured = compute_losses(prediction, joints, vertices, labels, loss, images.shape[-1])
            terms |= {name: replace(term, weight=factor * term.weight) for name, term in measured.items()}
        return terms

    def wrap(trained: HMR) -> nn.Module:
        return Student(trained, adapters) if adapters else trained

    lineage = lineage_of(checkpoint, config.tracking.uri)

    def samples(training: Mixture, say: Callable[[str], None], stop: StopRequest) -> TaughtSamples:
        sha256 = lineage.parent_checkpoint
        return taught_samples(training, config, sha256, lambda images: teacher(images)[0], distributed, say, stop)

    return Objective(losses, adapters, wrap, lineage, samples if options.cache else None)


def _refuse(options: DistillationConfig, config: TrainConfig, checkpoint: Checkpoint) -> None:
    ours, other = config.body.name, checkpoint.body
    terms = [term for term in _OF_A_BODY if getattr(options, term)]
    if other not in (None, ours) and terms:
        raise UserError(
            f"the teacher {checkpoint.path} is of the body {other}, and this run of the body {ours}: nothing can be "
            f"learned of {', '.join(terms)}",
            f"Choose body={other}, or give these terms the weight 0.",
        )
    if config.trainer.feature_views:
        raise UserError(
            "trainer.feature_views keeps features in the place of images, and the teacher must see the images",
            "Set trainer.feature_views=0.",
        )
    if options.cache:
        if options.features:
            raise UserError(
                f"distillation.cache=true keeps what the teacher predicts, and not its features, which "
                f"distillation.features={options.features:g} needs",
                f"Set distillation.features=0, or {OFF}.",
            )
        refuse_changing_images(config)
    if options.features and config.trainer.compile and any(pair != f"{BACKBONE}:{BACKBONE}" for pair in options.layers):
        raise UserError(
            "features of layers cannot be learned with trainer.compile=true",
            "Take the backbones' outputs, distillation.layers=[output:output], or leave trainer.compile out.",
        )


def _projected(joints: torch.Tensor, camera: torch.Tensor, size: int) -> torch.Tensor:
    """Where `joints` (B, N, 3) are in a crop of `size` pixels, -1 to 1: (B, N, 2)."""
    return project(joints, weak_perspective_translation(camera, size=size), size=size)


def _rotation_error(rotations: torch.Tensor, target: torch.Tensor, kind: str) -> torch.Tensor:
    """Radians (B, 24), or the errors of the matrices' numbers (B, 24, 3, 3)."""
    if kind == "geodesic":
        return rotation_angle(rotations, target)
    return (mse_loss if kind == "mse" else l1_loss)(rotations, target, reduction="none")
