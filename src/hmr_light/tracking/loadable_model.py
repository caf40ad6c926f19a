"""What `mlflow.pyfunc.load_model` runs: MLflow copies this file into each loadable model and executes it ("models from
code"). No object is pickled: the model's only data is the checkpoint, which is read without running code in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.models
import numpy as np
from mlflow.pyfunc import PythonModel

import hmr_light


class LoadableModel(PythonModel):
    """A checkpoint that maps images of one person each to SMPL's parameters and joints."""

    def load_context(self, context: Any) -> None:
        """Read the checkpoint and its body; `load_model(…, model_config={"body": FILE})` names that body elsewhere."""
        body = (context.model_config or {}).get("body")
        model = hmr_light.load_model(context.artifacts["checkpoint"])
        self.predictor = hmr_light.Predictor(model, hmr_light.load_body(Path(body) if body else None), align=False)

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Of RGB images uint8 (B, H, W, 3): `rotations` (B, 24, 3, 3), `betas` (B, 10), the crop's `camera` (B, 3), and
        `joints` (B, 49, 3), metres. Each image is one person's."""
        people = self.predictor([np.asarray(image, np.uint8) for image in model_input], "image")
        names = ("rotations", "betas", "camera", "joints")
        return {name: np.concatenate([getattr(one, name) for one in people]) for name in names}


mlflow.models.set_model(LoadableModel())
