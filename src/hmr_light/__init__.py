"""Train, track, measure and compare lightweight 3D human mesh regressors.

The Python interface (docs/python.md):

    model = hmr_light.load_model(PATH)          # a checkpoint, a run's directory, or an MLflow run id
    people = hmr_light.Predictor(model)(image)  # an RGB array uint8 (H, W, 3)

Nothing is imported before it is used: `import hmr_light` does not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hmr_light.body import load_body
    from hmr_light.checkpoints.models import load_model
    from hmr_light.config.choices import list_backbones
    from hmr_light.model.predictor import Predictor
    from hmr_light.paths import sample_photograph

__version__ = "0.1.0"
__all__ = ["Predictor", "list_backbones", "load_body", "load_model", "sample_photograph"]

_HOMES = {
    "Predictor": "hmr_light.model.predictor",
    "list_backbones": "hmr_light.config.choices",
    "load_body": "hmr_light.body",
    "load_model": "hmr_light.checkpoints.models",
    "sample_photograph": "hmr_light.paths",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
