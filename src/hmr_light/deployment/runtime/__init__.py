"""Photographs to people without torch: numpy, OpenCV and ONNX Runtime. Also shipped alone, as `hmr_light_runtime`.

    model = hmr_light_runtime.load_model("pocket")    # or an ONNX file that hmr-light export has written
    people = hmr_light_runtime.Predictor(model)(image)  # an RGB array uint8 (H, W, 3)

Everything here imports itself relatively and nothing else of hmr_light, which in turn uses it. Nothing is imported
before it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .body import load_body as load_body
    from .errors import UserError as UserError
    from .finder import PeopleFinder as PeopleFinder
    from .following import Follower as Follower
    from .following import Smoother as Smoother
    from .model import load_model as load_model
    from .people import PredictedPeople as PredictedPeople
    from .predictions import draw_people as draw_people
    from .predictor import Predictor as Predictor

__version__ = "0.1.0"
PROGRAM = "hmr-light-runtime"

_HOMES = {
    "Follower": "following",
    "PeopleFinder": "finder",
    "PredictedPeople": "people",
    "Predictor": "predictor",
    "Smoother": "following",
    "UserError": "errors",
    "draw_people": "predictions",
    "load_body": "body",
    "load_model": "model",
}
__all__ = ["Follower", "PeopleFinder", "PredictedPeople", "Predictor", "Smoother", "UserError", "draw_people"]
__all__ += ["load_body", "load_model"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
