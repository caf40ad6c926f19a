"""What a run minimises: an objective maps a network and a batch to loss terms.

The terms of an `Objective` come by name; the loss is the sum of weight times mean. A term's mean is over the samples of
all processes, therefore a term holds a sum and a count. `supervised` compares with labels, and
`hmr_light.training.distillation` with the predictions of another model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from hmr_light.body import SMPL
from hmr_light.config.signals import StopRequest
from hmr_light.data.mixture import Mixture
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.model.losses import LossConfig, LossTerm, build_loss_config, compute_losses
from hmr_light.model.regressors import SmplParameters
from hmr_light.training.context import Lineage

Batch = dict[str, torch.Tensor]
Network = Callable[[torch.Tensor], SmplParameters]
"""Normalised images (B, 3, S, S) → parameters in float32."""


class Losses(Protocol):
    """The loss terms of one step, by name."""

    def __call__(self, network: Network, batch: Batch, progress: float = 0.0) -> dict[str, LossTerm]:
        """`batch` is of `MeshDataset` samples on the device, its `image` normalised already, float32 (B, 3, S, S).

        `progress` is the share of the run's steps that are done, from 0 to 1.
        """


@dataclass(frozen=True)
class Objective:
    """What a run minimises."""

    losses: Losses
    adapters: nn.Module | None = None
    """What is trained beside the model for the objective alone: in the run's state, but not in its models."""
    wrap: Callable[[HMR], nn.Module] | None = None
    """What the network is that `losses` calls, where it is not the model itself: it holds the model and `adapters`."""
    teacher: Lineage | None = None
    """The checkpoint that is learned from. A run that is continued must have the same."""
    samples: Callable[[Mixture, Callable[[str], None], StopRequest], Dataset[Any]] | None = None
    """Gives the samples of the training set, where they are to hold something for `losses` that is kept on disk."""

    def __call__(self, network: Network, batch: Batch, progress: float = 0.0) -> dict[str, LossTerm]:
        return self.losses(network, batch, progress)


def check_labels(training: Mixture, loss: Mapping[str, Any]) -> None:
    """Raise `UserError` if nobody in `training` has a label that a term of the configuration `loss` is measured on."""
    config = build_loss_config(loss)
    terms = config.term_weights()
    for labels in (dataset.annotations for dataset in training.datasets):
        has_2d = (config.openpose_weight > 0 and _any(labels.openpose)) or (config.gt_weight > 0 and _any(labels.part))
        if (
            ("keypoints_2d" in terms and has_2d)
            or ("keypoints_3d" in terms and _any(labels.S))
            or (not terms.keys().isdisjoint(("pose", "betas", "vertices")) and labels.has_smpl.any())
        ):
            return
    raise UserError(
        f"nothing can be learned: nobody in data.train ({', '.join(str(one.path) for one in training.datasets)}) has a "
        f"label for the losses {', '.join(terms)}",
        "Give annotations with 2D keypoints (part, openpose), 3D joints (S) or SMPL (pose, shape), or other losses.",
    )


def _any(labels: np.ndarray) -> bool:
    """Whether any of the points (N, J, …, confidence) has a confidence."""
    return bool((np.asarray(labels)[..., -1] > 0).any())


def supervised(loss: Mapping[str, Any], body: SMPL) -> Objective:
    """The losses of the configuration `loss` (see `hmr_light.model.losses`) against the labels of the batch.

    Raises `UserError` for an option of `loss` that is unknown, missing or wrong.
    """
    config = build_loss_config(loss)
    wants_vertices = "vertices" in config.term_weights()

    def losses(network: Network, batch: Batch, progress: float = 0.0) -> dict[str, LossTerm]:
        prediction = network(batch["image"])
        posed = pose_body(body, prediction, wants_vertices)
        return compute_losses(prediction, *posed, with_vertices(batch, body, config), config, batch["image"].shape[-1])

    return Objective(losses)


def pose_body(body: SMPL, prediction: SmplParameters, wants_vertices: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The joints (B, 49, 3) of `prediction`, metres, and its vertices (B, V, 3), which take long, or None."""
    if wants_vertices:
        vertices, joints = body(prediction.rotations, prediction.betas)
        return joints, vertices
    return body.joints(prediction.rotations, prediction.betas), None


@torch.no_grad()
def with_vertices(batch: Batch, body: SMPL, config: LossConfig) -> Batch:
    """`batch` with the labelled `vertices` (B, V, 3) too, if a term of `config` is measured on them."""
    if "vertices" not in config.term_weights():
        return batch
    return batch | {"vertices": body(batch["pose"], batch["betas"]).vertices}
