"""HMR: a backbone and a regressor."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from hmr_light.backbones import Backbone, build_backbone
from hmr_light.backbones.normalization import IMAGE_MEAN, IMAGE_STD
from hmr_light.errors import UserError
from hmr_light.model.regressors import MeanRegressor, SmplParameters, build_regressor


class HMR(nn.Module):
    """Normalised images (B, 3, H, W) → `SmplParameters` (see `normalize`)."""

    def __init__(self, backbone: nn.Module, regressor: MeanRegressor) -> None:
        super().__init__()
        self.backbone = backbone
        self.regressor = regressor
        self.transforms: Sequence[Any] = ()
        """What its structure was changed by since it was built; see `hmr_light.checkpoints.transforms`."""

    def forward(self, image: torch.Tensor) -> SmplParameters:
        return self.regressor(self.backbone(image))


def build_model(config: Mapping[str, Any]) -> HMR:
    """The model that the nodes `backbone` and `regressor` of `config` describe.

    Raises `UserError` for an unknown name or option, and for weights that are not available or do not fit.
    """
    backbone = build_backbone(config["backbone"])
    return HMR(backbone, build_regressor(config["regressor"], backbone.num_features))  # type: ignore[arg-type]


def check_image_size(model: HMR, name: str, size: int, option: str, batch: int | None = None) -> None:
    """Raise `UserError` if `model`, whose backbone is called `name`, cannot take images of `size` pixels a side.

    `option` is what the size comes from; with `batch`, the model must be able to learn from so many images a step.
    Found by images without values, so that nothing is computed.
    """
    shapes = copy.deepcopy(model).eval().to("meta")
    if reason := _refusal(shapes, 1, size):
        sizes = [part.made_for for part in model.modules() if isinstance(part, Backbone) and part.made_for]
        remedy = (
            f"It was made for images of {sizes[0]} pixels: give {option}={sizes[0]}, or choose" if sizes else "Choose"
        )
        raise UserError(
            f"backbone.name={name} cannot take images of {size} pixels a side: {reason}", f"{remedy} another backbone."
        )
    # Batch normalisation has no statistics of a single number.
    if batch == 1 and (reason := _refusal(shapes.train(), batch, size)):
        raise UserError(
            f"trainer.batch_size=1: this model cannot learn from one image a step: {reason}",
            "Give trainer.batch_size=2 or more.",
        )


@torch.no_grad()
def _refusal(shapes: HMR, batch: int, size: int) -> str | None:
    """Why a model on the meta device fails on `batch` images of `size` pixels a side; None where it does not."""
    try:
        shapes(torch.empty(batch, 3, size, size, device="meta"))
    except Exception as error:  # whatever a network makes of maps that do not fit
        return (str(error).splitlines() or [type(error).__name__])[0].removesuffix(".")
    return None


def normalize(image: torch.Tensor) -> torch.Tensor:
    """RGB images uint8 (B, 3, H, W) as float32 of ImageNet's mean 0 and deviation 1, on the images' device."""
    mean, std = _statistics(image.device)
    return (image - mean) / std


@lru_cache
def _statistics(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (255 * torch.tensor(values, device=device)[:, None, None] for values in (IMAGE_MEAN, IMAGE_STD))
    return mean, std
