"""Makes a logged model of MLflow loadable: `mlflow.pyfunc.load_model("models:/…")` then gives parameters and joints."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

CODE = Path(__file__).with_name("loadable_model.py")
EXTERNAL = "mlflow.model.isExternal"
"""MLflow's tag of models whose files it does not hold; it refuses to load them."""
_OUTPUTS = {"rotations": (24, 3, 3), "betas": (10,), "camera": (3,), "joints": (49, 3)}


def is_loadable(model: LoggedModel) -> bool:
    """Whether MLflow holds the model's files."""
    return model.tags.get(EXTERNAL, "false") != "true"


def make_loadable(client: MlflowClient, model: LoggedModel, checkpoint: Path, body: str) -> None:
    """Upload the checkpoint and the code that reads it to the external `model`, and mark it as no longer external.

    `body` is the file of the body model that it was trained with; empty for the embedded one. MLflow does the same when
    a model is logged under the id of an external one. Does nothing that cannot be done again after a stop half way.
    """
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    image = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))
    outputs: list[Any] = [TensorSpec(np.dtype(np.float32), (-1, *shape), name) for name, shape in _OUTPUTS.items()]
    description = Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        model_id=model.model_id,
        run_id=model.source_run_id,
    )
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints for the author of a model, not for its user
        mlflow.pyfunc.save_model(
            f"{folder}/model",
            python_model=CODE,
            artifacts={"checkpoint": str(checkpoint)},
            signature=ModelSignature(Schema([image]), Schema(outputs)),
            input_example=np.full((1, 32, 32, 3), 128, np.uint8),
            pip_requirements=["hmr-light"],
            model_config={"body": body},
            mlflow_model=description,
        )
        client.log_model_artifacts(model.model_id, f"{folder}/model")
    client.delete_logged_model_tag(model.model_id, EXTERNAL)
