"""The learning rate as a pure function of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

import torch

from hmr_light.config.schema import OptimizerConfig
from hmr_light.model.hmr import HMR


def learning_rate(config: OptimizerConfig, step: int, total_steps: int) -> float:
    """The rate of step `step` (from 0) of `total_steps`: linear warm-up, then constant or a cosine to zero."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "constant":
        return config.learning_rate * warmup
    progress = min(1.0, step / max(1, total_steps))
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(config: OptimizerConfig, model: HMR) -> torch.optim.Optimizer | None:
    """Adam or AdamW in torch's fused form, which is twice as fast as the default; None if `model` has no weights.

    Each parameter group has a `factor`: its rate is that times `learning_rate`.
    """
    outputs = model.regressor.output_biases()
    inner = [parameter for parameter in model.regressor.parameters() if all(parameter is not bias for bias in outputs)]
    parts = ((list(model.backbone.parameters()), config.backbone_factor), (inner, 1.0), (outputs, config.bias_factor))
    groups = [
        {"params": [parameter for parameter in parameters if parameter.requires_grad], "factor": factor}
        for parameters, factor in parts
    ]
    groups = [group for group in groups if group["params"]]
    if not groups:
        return None
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
    return kind(groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let every parameter group of `optimizer` learn at `rate` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]
