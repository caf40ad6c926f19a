"""The people in images, by ONNX files alone: the Python interface of `hmr_light.Predictor`, with its results."""

from __future__ import annotations

import warnings

import numpy as np

from .body import Body, load_body
from .finder import PeopleFinder
from .model import Model
from .predicting import Finder, PeoplePredictor


class Predictor(PeoplePredictor):
    """The people in images, by a `Model` (see `load_model`) and a body."""

    def __init__(
        self,
        model: Model,
        body: Body | None = None,
        *,
        batch_size: int = 16,
        focal: float | None = None,
        finder: Finder | None = None,
        align: bool = True,
    ) -> None:
        """`body` None is the embedded one. `batch_size` people go through the network at once.

        `focal` is that of the images' camera, pixels; None takes each image's diagonal. It changes how far away people
        stand (`translation`), and nothing else. `finder` looks for people where no boxes are given, and at all of them
        for their `confidence`; None is the one that comes with this package. With `align`, people whom the finder sees
        are moved and sized so that they stand over its keypoints: `camera` is no longer the network's own.
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
        self.contrast = model.contrast
        self.body = load_body() if body is None else body
        self.finder = PeopleFinder() if finder is None else finder

    @property
    def faces(self) -> np.ndarray:
        return self.body.faces

    @property
    def num_vertices(self) -> int:
        return self.body.num_vertices

    def parameters(self, crops: np.ndarray) -> tuple[np.ndarray, ...]:
        rotations, betas, camera = self.model(crops)
        return (rotations, betas, camera, *self.body(rotations, betas))

    def mesh(self, rotations: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.body(rotations, betas)
