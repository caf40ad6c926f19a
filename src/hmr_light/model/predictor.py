"""From photographs to people: any network that maps crops to SMPL's parameters, and what is made of them.

`CropPredictor` is the contract: a torch network keeps it, and so does a file of another runtime. Evaluation scores what
keeps it, `cost` times it, `Predictor` finds people with it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from hmr_light.body import SMPL, load_body
from hmr_light.deployment.runtime.predicting import Finder, PeoplePredictor
from hmr_light.model.finder import PeopleFinder
from hmr_light.model.hmr import normalize
from hmr_light.model.regressors import SmplParameters


class CropPredictor(Protocol):
    """Anything that maps crops of people to SMPL's parameters."""

    @property
    def image_size(self) -> int:
        """Side of the crops, pixels."""

    @property
    def body_name(self) -> str | None:
        """The choice of `body=` that its betas are of; None where it is not known."""

    def __call__(self, crops: torch.Tensor) -> SmplParameters:
        """The parameters of RGB crops uint8 (B, 3, S, S), on whatever device."""


@dataclass(frozen=True)
class TorchPredictor:
    """A torch network as a `CropPredictor`; the crops are moved to the network's device."""

    network: Callable[[torch.Tensor], SmplParameters]
    """Normalised images (B, 3, S, S) → parameters; see `hmr_light.model.hmr.HMR`."""
    image_size: int
    body_name: str | None
    device: torch.device
    contrast: str | None = None
    """How the values of its crops are changed: `spin` stretches them, as in `hmr_light.data.dataset.MeshDataset`."""

    @torch.no_grad()
    def __call__(self, crops: torch.Tensor) -> SmplParameters:
        return self.network(normalize(crops.to(self.device)))


class Predictor(PeoplePredictor):
    """The people in images, by a `CropPredictor` (see `hmr_light.load_model`) and a body."""

    def __init__(
        self,
        model: CropPredictor,
        body: SMPL | None = None,
        *,
        batch_size: int = 16,
        focal: float | None = None,
        finder: Finder | None = None,
        align: bool = True,
    ) -> None:
        """`body` None is the embedded one. `batch_size` people go through the network at once.

        `focal` is that of the images' camera, pixels; None takes each image's diagonal. It changes how far away people
        stand (`translation`), and nothing else. `finder` looks for people where no boxes are given, and at all of them
        for their `confidence`; None is MoveNet on the model's device. With `align`, people whom the finder sees are
        moved and sized so that they stand over its keypoints: `camera` is no longer the network's own.
        """
        if body is None and model.body_name not in (None, "embedded"):
            warnings.warn(
                f"the model was trained with body={model.body_name}, and the embedded body takes its place: "
                "shapes will differ; give Predictor(model, load_body(FILE))",
                stacklevel=2,
            )
        super().__init__(batch_size, focal, align)
        self.model = model
        self.image_size = model.image_size
        self.contrast = getattr(model, "contrast", None)
        self.body = load_body() if body is None else body
        self.finder = PeopleFinder(getattr(model, "device", "cpu")) if finder is None else finder

    @property
    def faces(self) -> np.ndarray:
        return self.body.faces.cpu().numpy()

    @property
    def num_vertices(self) -> int:
        return self.body.num_vertices

    @torch.no_grad()
    def parameters(self, crops: np.ndarray) -> tuple[np.ndarray, ...]:
        given = self.model(torch.from_numpy(crops).permute(0, 3, 1, 2))
        parameters = SmplParameters(*(value.float() for value in given))
        posed = self.body.to(parameters.rotations.device)(parameters.rotations, parameters.betas)
        return tuple(value.float().cpu().numpy() for value in (*parameters, *posed))

    @torch.no_grad()
    def mesh(self, rotations: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = self.body.faces.device
        posed = self.body(torch.from_numpy(rotations).to(place), torch.from_numpy(betas).to(place))
        return posed.vertices.cpu().numpy(), posed.joints.cpu().numpy()
