"""`optimizer=`: how the weights are updated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from omegaconf import MISSING

from hmr_light.config.limits import OneOf, Range


@dataclass
class OptimizerConfig:
    """How the weights are updated."""

    name: Annotated[str, OneOf("adam", "adamw", "rmsprop")] = MISSING
    """Adam, AdamW with its decoupled weight decay, or RMSprop with a momentum of 0.9."""
    learning_rate: Annotated[float, Range(0, 100)] = MISSING
    """Of the regressor, after the warm-up. SPIN's regressor is linear and wide: from 3e-4 on its training is unstable,
    and at 1e-3 its camera diverges."""
    backbone_factor: Annotated[float, Range(0, 1e6)] = MISSING
    """The backbone's learning rate, as a factor of `learning_rate`. Behind the SPIN regressor, 10 suits random weights
    and pretrained ones; with 1 a pretrained backbone learns too slowly (docs/recipe.md)."""
    bias_factor: Annotated[float, Range(0, 1e6)] = MISSING
    """The same for the biases of the regressor's output. With a large one the biases find the best constant at once;
    otherwise the weights find it, and learn on the way to ignore the image."""
    weight_decay: Annotated[float, Range(0, 1e6)] = MISSING
    """Weight decay; 0 switches it off."""
    decay_depthwise: bool = True
    """Whether the weight decay is for the filters of depthwise convolutions too; MobileNet's authors leave them out,
    for they have few weights."""
    schedule: Annotated[str, OneOf("constant", "cosine")] = MISSING
    """cosine goes down to zero at the last step."""
    warmup_steps: Annotated[int, Range(0, 10**9)] = MISSING
    """Steps in which the learning rate rises linearly from zero."""
