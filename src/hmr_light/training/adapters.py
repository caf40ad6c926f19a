"""Features of a network's layers, and the maps that bring those of one network to those of another."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d

from hmr_light.errors import UserError, did_you_mean
from hmr_light.model.hmr import HMR

BACKBONE = "output"
"""The name of the layer that is the whole backbone: its output is what the regressor sees."""


class StudentPrediction(NamedTuple):
    """`SmplParameters`, and the features beside them."""

    rotations: torch.Tensor
    betas: torch.Tensor
    camera: torch.Tensor
    features: torch.Tensor
    """(B, N): the adapted features of all layers, one after the other; see `FeatureAdapters.split`."""


class FeatureAdapters(nn.Module):
    """For each pair of layers, a 1×1 convolution from the channels of ours to those of the teacher.

    Of layers whose output is (B, C), it is a linear map. They are trained with the model, and are no part of it.
    """

    def __init__(
        self, ours: nn.Module, teacher: nn.Module, layers: Sequence[tuple[str, ...]], image_size: int, teacher_size: int
    ) -> None:
        """`layers` are pairs of names: of a layer in the backbone `ours`, and of one in the backbone `teacher`.

        The sizes are those of their images. Raises `UserError` for a layer that is not there or gives no map.
        """
        super().__init__()
        self.layers = tuple(name for name, _ in layers)
        own = _shapes(ours, self.layers, image_size, "this model's backbone")
        others = _shapes(teacher, [name for _, name in layers], teacher_size, "the teacher's backbone")
        self.shapes: list[tuple[int, ...]] = []
        """Of each pair, the channels and the size of the maps that are compared: the smaller one's."""
        self.maps = nn.ModuleList()
        for (name, other_name), one, other in zip(layers, own, others, strict=True):
            if len(one) != len(other):
                raise UserError(
                    f"distillation.layers: '{name}' gives {_described(one)}, and the teacher's '{other_name}' "
                    f"{_described(other)}",
                    "Pair maps with maps, and vectors with vectors.",
                )
            self.maps.append(nn.Conv2d(one[0], other[0], 1) if len(one) == 3 else nn.Linear(one[0], other[0]))
            self.shapes.append((other[0], *map(min, one[1:], other[1:])))

    def forward(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """Our features of each layer, adapted, of the size that is compared, and flat: (B, N)."""
        return self._flat([adapt(one) for adapt, one in zip(self.maps, features, strict=True)])

    def targets(self, features: Sequence[torch.Tensor]) -> torch.Tensor:
        """The teacher's features of each layer, likewise (B, N): of mean square 1 for each sample and layer."""
        return self._flat(features, normalised=True)

    def _flat(self, features: Sequence[torch.Tensor], *, normalised: bool = False) -> torch.Tensor:
        parts = []
        for one, shape in zip(features, self.shapes, strict=True):
            one = (
                adaptive_avg_pool2d(one, (shape[1], shape[2])) if one.dim() == 4 and one.shape[2:] != shape[1:] else one
            )
            part = one.float().flatten(1)
            parts.append(part / part.square().mean(1, keepdim=True).sqrt().clamp(min=1e-6) if normalised else part)
        return torch.cat(parts, dim=1)


class Student(nn.Module):
    """A model that gives its adapted features too."""

    def __init__(self, model: HMR, adapters: FeatureAdapters) -> None:
        super().__init__()
        self.model = model
        self.adapters = adapters

    def forward(self, image: torch.Tensor) -> StudentPrediction:
        features, seen = features_of(self.model.backbone, image, self.adapters.layers)
        rotations, betas, camera = self.model.regressor(features)
        return StudentPrediction(rotations, betas, camera, self.adapters(seen))


def features_of(
    backbone: nn.Module, images: torch.Tensor, layers: Sequence[str]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The features (B, F) of `backbone` for `images`, and the outputs of its `layers` on the way."""
    with _watched(backbone, [name for name in layers if name != BACKBONE]) as seen:
        features = backbone(images)
    return features, [features if name == BACKBONE else seen[name] for name in layers]


@contextmanager
def _watched(backbone: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Any]]:
    seen: dict[str, Any] = {}

    def watch(name: str) -> Any:
        return backbone.get_submodule(name).register_forward_hook(lambda _, __, output: seen.update({name: output}))

    hooks = [watch(name) for name in layers]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _shapes(backbone: nn.Module, layers: Sequence[str], size: int, whose: str) -> list[tuple[int, ...]]:
    """The shapes of what the layers give for one image, without the batch; nothing is computed."""
    known = [name for name, _ in backbone.named_modules() if name]
    for name in layers:
        if name != BACKBONE and name not in known:
            raise UserError(
                f"distillation.layers: {whose} has no layer '{name}'",
                f"{did_you_mean(name, known)} {BACKBONE} is what the regressor sees.",
            )
    image = torch.empty(1, 3, size, size, device="meta")
    with torch.no_grad():
        _, seen = features_of(copy.deepcopy(backbone).eval().to("meta"), image, layers)
    for name, value in zip(layers, seen, strict=True):
        if not isinstance(value, torch.Tensor) or value.dim() not in (2, 4):
            raise UserError(
                f"distillation.layers: the layer '{name}' of {whose} gives no map and no vector", "Name another layer."
            )
    return [tuple(value.shape[1:]) for value in seen]


def _described(shape: tuple[int, ...]) -> str:
    return f"{'maps' if len(shape) == 3 else 'vectors'} of {shape[0]} channels"
