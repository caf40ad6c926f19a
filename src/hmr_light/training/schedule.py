"""The learning rate as a pure function of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

import torch
from torch import nn

from hmr_light.backbones.blocks import is_depthwise
from hmr_light.config.schema import OptimizerConfig
from hmr_light.model.hmr import HMR


def learning_rate(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """The rate of step `step` (from 0) of `total_steps`: linear warm-up, then constant or a cosine to zero."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "constant":
        return config.learning_rate * warmup
    progress = min(1.0, step / max(1, total_steps))
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(
    config: OptimizerConfig, model: HMR, adapters: nn.Module | None = None
) -> torch.optim.Optimizer | None:
    """The optimizer that `config` names, over the weights of `model`; None if it has none.

    `adapters` are trained too (see `Objective`). Each parameter group has a `factor`: its rate is that times
    `learning_rate`.
    """
    outputs = model.regressor.output_biases()
    inner = [parameter for parameter in model.regressor.parameters() if all(parameter is not bias for bias in outputs)]
    layers = [] if config.decay_depthwise else model.backbone.modules()
    depthwise = [layer.weight for layer in layers if isinstance(layer, nn.Conv2d) and is_depthwise(layer)]
    backbone = [one for one in model.backbone.parameters() if all(one is not other for other in depthwise)]
    parts = (
        (backbone, config.backbone_factor, config.weight_decay),
        (inner, 1.0, config.weight_decay),
        (outputs, config.bias_factor, config.weight_decay),
        (depthwise, config.backbone_factor, 0.0),
        (list(adapters.parameters()) if adapters else [], 1.0, config.weight_decay),
    )
    groups = [
        {"params": [one for one in parameters if one.requires_grad], "factor": factor, "weight_decay": decay}
        for parameters, factor, decay in parts
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        return None
    if config.name == "rmsprop":
        # As MobileNetV2 was trained (Sandler et al., CVPR 2018): decay and momentum are 0.9.
        return torch.optim.RMSprop(groups, lr=config.learning_rate, alpha=0.9, momentum=0.9, eps=1e-3, foreach=True)
    # torch's fused form is twice as fast as its default.
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
    return kind(groups, lr=config.learning_rate, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let every parameter group of `optimizer` learn at `rate` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
