"""What a run minimises: an objective maps a network and a batch to loss terms.

An `Objective` is called with the network and a batch of `MeshDataset` samples on the device, whose `image` is already
normalised, float32 (B, 3, S, S). It returns the terms by name; the loss is the sum of weight times mean. A term's mean
is over the samples of all processes, therefore a term holds a sum and a count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from hmr_light.body import SMPL
from hmr_light.data.mixture import Mixture
from hmr_light.errors import UserError
from hmr_light.model.losses import LossTerm, build_loss_config, compute_losses
from hmr_light.model.regressors import SmplParameters

Batch = dict[str, torch.Tensor]
Network = Callable[[torch.Tensor], SmplParameters]
"""Normalised images (B, 3, S, S) → parameters in float32."""
Objective = Callable[[Network, Batch], dict[str, LossTerm]]


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

    def objective(network: Network, batch: Batch) -> dict[str, LossTerm]:
        prediction = network(batch["image"])
        vertices = None
        if wants_vertices:
            vertices, joints = body(prediction.rotations, prediction.betas)
            with torch.no_grad():
                batch = batch | {"vertices": body(batch["pose"], batch["betas"]).vertices}
        else:
            joints = body.joints(prediction.rotations, prediction.betas)
        return compute_losses(prediction, joints, vertices, batch, config, batch["image"].shape[-1])

    return objective
