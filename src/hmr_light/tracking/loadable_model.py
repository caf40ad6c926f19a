"""What `mlflow.pyfunc.load_model` runs: MLflow copies this file into each loadable model and executes it ("models from
code"). No object is pickled: the model's only data is the checkpoint, which is read without running code in it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
import torch
from mlflow.pyfunc import PythonModel


class LoadableModel(PythonModel):
    """A checkpoint that maps images of one person each to SMPL's parameters and joints."""

    def load_context(self, context: Any) -> None:
        """Read the checkpoint and its body; `load_model(…, model_config={"body": FILE})` names that body elsewhere."""
        # This file is not part of the room that it lies in: it runs where MLflow loads a model.
        loading, body = import_module("hmr_light.checkpoints.loading"), import_module("hmr_light.body")
        checkpoint = loading.load_checkpoint(Path(context.artifacts["checkpoint"]))
        self.image_size = int(checkpoint.config["data"]["image_size"])
        self.model = checkpoint.build().eval()
        place = (context.model_config or {}).get("body")
        self.body = body.load_body(Path(place) if place else None)

    @torch.no_grad()
    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Of RGB images uint8 (B, H, W, 3): `rotations` (B, 24, 3, 3), `betas` (B, 10), the crop's `camera` (B, 3), and
        `joints` (B, 49, 3), metres. Each image is one person's."""
        pictures, boxes = import_module("hmr_light.data.pictures"), import_module("hmr_light.data.boxes")
        images = [np.asarray(image, np.uint8) for image in model_input]
        crops = [pictures.crop_person(one, boxes.whole_image(*one.shape[1::-1]), self.image_size) for one in images]
        batch = torch.from_numpy(np.array(crops)).permute(0, 3, 1, 2)
        rotations, betas, camera = self.model(import_module("hmr_light.model.hmr").normalize(batch))
        values = {
            "rotations": rotations,
            "betas": betas,
            "camera": camera,
            "joints": self.body.joints(rotations, betas),
        }
        return {name: value.float().numpy() for name, value in values.items()}


mlflow.models.set_model(LoadableModel())
