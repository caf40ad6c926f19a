"""The choices of `backbone=`, their configurations, and what is counted in their networks."""

from __future__ import annotations

from functools import cache
from typing import Any

import hydra
import torch
from omegaconf import OmegaConf
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.paths import conf_dir

CHOICES = sorted(file.stem for file in (conf_dir() / "backbone").glob("*.yaml"))


@cache
def config_of(choice: str, *overrides: str) -> dict[str, Any]:
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra.compose(overrides=[f"+backbone={choice}", *overrides])
    return OmegaConf.to_container(config.backbone)  # type: ignore[return-value]


LOGITS = {"name": "logits"}


def classifier(name: str, **options: Any) -> nn.Module:
    return build_backbone({"name": name, "adapter": LOGITS, **options})


def parameters(module: nn.Module, *without: type[nn.Module]) -> int:
    return sum(
        value.numel()
        for layer in module.modules()
        if not isinstance(layer, without)
        for value in layer.parameters(recurse=False)
    )


def outputs(module: nn.Module, *shapes: tuple[int, ...]) -> list[tuple[nn.Module, int]]:
    """Every call of every module within, with the number of elements that it gave; nothing is computed."""
    calls: list[tuple[nn.Module, int]] = []
    for layer in module.modules():
        if layer is not module:
            layer.register_forward_hook(lambda layer, _, output: calls.append((layer, output.numel())))
    with torch.no_grad():
        module.eval().to("meta")(*(torch.empty(shape, device="meta") for shape in shapes))
    return calls


def macs(module: nn.Module, *shapes: tuple[int, ...]) -> list[tuple[nn.Module, int]]:
    """Each convolution and linear layer with its MACs: each output element takes one row of the weight."""
    return [
        (layer, number * layer.weight[0].numel())
        for layer, number in outputs(module, *shapes)
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]


def total_macs(module: nn.Module, size: int = 224) -> int:
    return sum(number for _, number in macs(module, (1, 3, size, size)))


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Statistics of normalisation too, so that every tensor shows."""
    torch.manual_seed(seed)
    for value in module.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) * 0.2 + (0.5 if value.dim() == 1 else -0.1))
