"""What `hmr-light predict` draws with: the model, the body, and what finds the people."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from hmr_light.config.schema import PredictConfig
from hmr_light.data.finders import MOVENET, WHOLE_IMAGE, Finder, detector
from hmr_light.paths import zoo_file

# What needs torch, which takes seconds to import, is imported in the functions.
if TYPE_CHECKING:
    from hmr_light.model.predictor import CropPredictor, Predictor

_LEAST_DETECTED = 0.7
"""Score of people whom torchvision's detector finds, where min_score is not given."""


def finder_without_file(config: PredictConfig) -> Finder:
    """What finds the people where `boxes` is no file."""
    if config.boxes == "detector":
        return detector(config.device, _LEAST_DETECTED if config.min_score is None else config.min_score)
    return MOVENET if config.boxes == "auto" else WHOLE_IMAGE


def load_predictor(config: PredictConfig) -> Predictor:
    """The model that `config` names, with the body and the finder."""
    gc.disable()  # a million objects come and stay, and would be looked through again and again meanwhile
    import torch

    from hmr_light.body import load_body
    from hmr_light.deployment.runtime.finding import LEAST_SCORE
    from hmr_light.model.finder import PeopleFinder
    from hmr_light.model.predictor import Predictor

    gc.enable()
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    model = _model(config)
    if model.body_name not in (None, config.body.name):
        print(
            f"note: trained with body={model.body_name}, drawn with body={config.body.name}: shapes will differ",
            file=sys.stderr,
        )
    least = LEAST_SCORE if config.min_score is None else config.min_score
    return Predictor(
        model,
        load_body(**config.body.files()),
        batch_size=config.batch_size,
        focal=config.focal,
        finder=PeopleFinder(getattr(model, "device", "cpu"), least),
        align=config.align,
    )


def _model(config: PredictConfig) -> CropPredictor:
    from hmr_light.checkpoints.exported import open_model, predictor_of_model
    from hmr_light.checkpoints.models import best_checkpoint

    if config.checkpoint is not None:
        model = open_model(config.checkpoint)
    elif config.run is None:
        mobile = zoo_file("mobile")
        assert mobile is not None
        model = open_model(mobile)
        print("checkpoint: mobile, which comes with the package", file=sys.stderr)
    else:
        model = best_checkpoint(config.run, config.tracking.uri)
        print(f"checkpoint: {model.path}", file=sys.stderr)
    return predictor_of_model(model, config.device, config.contrast)
