"""SPIN's losses (Kolotouros et al., ICCV 2019), and the same with L1 errors (Pang et al., NeurIPS 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch.nn.functional import l1_loss, mse_loss

from hmr_light.config.registry import check_options
from hmr_light.errors import UserError, did_you_mean
from hmr_light.geometry import project, weak_perspective_translation
from hmr_light.model.regressors import SmplParameters

_NORMS = ("mse", "l1")
_TERMS = ("keypoints_2d", "keypoints_3d", "pose", "betas", "vertices", "camera")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """Weights of the terms, and how errors are measured; `conf/loss/` says what each option means."""

    name: str
    norm: str
    keypoints_2d: float
    keypoints_3d: float
    pose: float
    betas: float
    vertices: float
    camera: float
    total: float
    openpose_weight: float
    gt_weight: float

    def __post_init__(self) -> None:
        if self.norm not in _NORMS:
            raise UserError(f"loss.norm={self.norm} is not a choice", did_you_mean(str(self.norm), _NORMS))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("name", "norm") and not (0 <= value < math.inf):
                raise UserError(f"loss.{field.name}={value} is not a weight", "Give a number of at least 0.")
        if not self.term_weights():
            raise UserError(
                "every loss has weight 0: there is nothing to learn", f"Give loss.{_TERMS[0]}=… or another."
            )

    def term_weights(self) -> dict[str, float]:
        """The factors of the terms that count, by name; a term of weight 0 is not there, and not computed."""
        weights = {term: self.total * getattr(self, term) for term in _TERMS}
        return {term: weight for term, weight in weights.items() if weight}


def build_loss_config(config: Mapping[str, Any]) -> LossConfig:
    """The loss that `config` describes. Raises `UserError` for an option that is unknown, missing or wrong."""
    check_options("loss", str(config.get("name")), LossConfig, config)
    return LossConfig(**config)


_OPENPOSE = 25
_HIPS = slice(2, 4)  # among the 24 joints of the ground truth


@dataclass(frozen=True)
class LossTerm:
    """One term of a loss, as a sum and a count, so that many processes together can give their common mean."""

    sum: torch.Tensor
    count: torch.Tensor
    """How many numbers the mean is over; 0 if no sample of the batch has the label."""
    weight: float = 1.0
    """The loss is the sum of weight times mean over all terms."""


def compute_losses(
    prediction: SmplParameters,
    joints: torch.Tensor,
    vertices: torch.Tensor | None,
    batch: Mapping[str, torch.Tensor],
    config: LossConfig,
    image_size: int,
) -> dict[str, LossTerm]:
    """The terms of nonzero weight in `config`, by name.

    `joints` (B, 49, 3) and `vertices` (B, V, 3), metres, are the body's of `prediction`. `batch` holds the labels
    `keypoints_2d` (B, 49, 3) in [-1, 1] with confidence, `joints_3d` (B, 24, 4) in metres with confidence and its flags
    `has_joints_3d` (B,), `pose` (B, 24, 3, 3) and `betas` (B, 10) with the flags `has_smpl` (B,), and, for the term
    `vertices`, `vertices` (B, V, 3).
    """
    error = mse_loss if config.norm == "mse" else l1_loss
    has_smpl = batch["has_smpl"].to(joints.dtype)
    wanted = config.term_weights()
    terms: dict[str, LossTerm] = {}

    if "keypoints_2d" in wanted:
        translation = weak_perspective_translation(prediction.camera, size=image_size)
        projected = project(joints, translation, size=image_size)
        target, confidence = batch["keypoints_2d"].split((2, 1), dim=-1)
        source = torch.arange(confidence.shape[1], device=joints.device) < _OPENPOSE
        confidence = confidence * torch.where(source, config.openpose_weight, config.gt_weight)[:, None]
        each = confidence * error(projected, target, reduction="none")
        terms["keypoints_2d"] = _mean_over_samples(each, torch.ones_like(has_smpl))

    if "keypoints_3d" in wanted:
        target, confidence = batch["joints_3d"].split((3, 1), dim=-1)
        each = confidence * error(from_mid_hip(joints[:, _OPENPOSE:]), from_mid_hip(target), reduction="none")
        terms["keypoints_3d"] = _mean_over_samples(each, batch["has_joints_3d"].to(joints.dtype))

    if "pose" in wanted:
        each = error(prediction.rotations, batch["pose"], reduction="none")
        terms["pose"] = _mean_over_samples(each, has_smpl)

    if "betas" in wanted:
        terms["betas"] = _mean_over_samples(error(prediction.betas, batch["betas"], reduction="none"), has_smpl)

    if "vertices" in wanted:
        assert vertices is not None
        terms["vertices"] = _mean_over_samples(l1_loss(vertices, batch["vertices"], reduction="none"), has_smpl)

    if "camera" in wanted:
        each = torch.exp(-10 * prediction.camera[:, :1]) ** 2
        terms["camera"] = _mean_over_samples(each, torch.ones_like(has_smpl))

    return {name: replace(term, weight=wanted[name]) for name, term in terms.items()}


def _mean_over_samples(each: torch.Tensor, has: torch.Tensor) -> LossTerm:
    """The mean of `each` (B, …) over the samples that `has` (B,; 1 or 0) names.

    By multiplication rather than by picking: picking would make the processor wait for the GPU.
    """
    per_sample = each.flatten(1)
    return LossTerm((per_sample.sum(1) * has).sum(), has.sum() * per_sample.shape[1])


def from_mid_hip(joints: torch.Tensor) -> torch.Tensor:
    """The 24 `joints` (B, 24, …) of the ground truth relative to the middle of the hips."""
    return joints - joints[:, _HIPS].mean(1, keepdim=True)
