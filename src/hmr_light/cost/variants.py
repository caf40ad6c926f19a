"""How a trained network can be run: each way computes the same, or nearly, in another time."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmr_light.errors import UserError, did_you_mean
from hmr_light.model.exported import open_exported
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import HMR
from hmr_light.model.regressors import SmplParameters

EAGER = "eager"
STEPS = {
    "folded": "the regressor as one affine map, where it is one",
    "fused": "batch norms within their convolutions",
    "channels_last": "the numbers of a pixel side by side in memory",
    "bfloat16": "weights and activations in bfloat16",
    "float16": "weights and activations in float16",
    "compile": "torch.compile with frozen weights",
    "mesh": "the body model too: vertices and joints, not SMPL parameters alone",
}
"""What a variant is made of; `eager` is none of them."""

Body = Callable[[torch.Tensor, torch.Tensor], Any]
"""`hmr_light.body.SMPL`."""


def parse_variant(text: str) -> frozenset[str]:
    """The steps of `eager` or of names of `STEPS` joined by `+`. Raises `UserError` for any other name."""
    if text == EAGER:
        return frozenset()
    steps = text.split("+")
    for step in steps:
        if step not in STEPS:
            raise UserError(f"variants: there is no '{step}'", did_you_mean(step, [EAGER, *STEPS]))
    if {"bfloat16", "float16"} <= set(steps):
        raise UserError(f"variants: {text} names two precisions", "Name one of bfloat16 and float16.")
    return frozenset(steps)


class Runner:
    """A network made ready to be run as `steps` say, on its own copy of the weights."""

    def __init__(self, model: HMR, steps: frozenset[str], device: torch.device, body: Body | None) -> None:
        model = copy.deepcopy(model).eval()
        if "folded" in steps:
            model.regressor = model.regressor.fold()
        if "fused" in steps:
            model.backbone = fuse_conv_bn(model.backbone)
        self.dtype = torch.float32
        for name, dtype in (("bfloat16", torch.bfloat16), ("float16", torch.float16)):
            if name in steps:
                self.dtype = dtype
        self.layout = torch.channels_last if "channels_last" in steps else torch.contiguous_format
        self.device = device
        network: nn.Module = model.to(device=device, dtype=self.dtype).to(memory_format=self.layout)
        self._network = _compiled(network, device) if "compile" in steps else network
        self._body = body if "mesh" in steps else None

    def for_threads(self, threads: int) -> Runner:
        """A network takes the thread count that torch has when it runs."""
        return self

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (B, 3, H, W) in the type, layout and place that this network takes."""
        return images.to(device=self.device, dtype=self.dtype, memory_format=self.layout)

    def __call__(self, images: torch.Tensor) -> SmplParameters:
        """Run the network, and the body model if it is part of the variant, on what `prepare` gave."""
        parameters = self._network(images)
        if self._body is not None:
            self._body(parameters.rotations, parameters.betas)
        return parameters


class FileRunner:
    """An exported file, from the pixels of crops to SMPL parameters and whatever else it gives."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self.threads = threads
        self._predictor = open_exported(path, threads)

    def for_threads(self, threads: int) -> FileRunner:
        """The file in a session of so many threads."""
        return self if threads == self.threads else FileRunner(self.path, threads)

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Crops uint8 (B, 3, H, W) of images of values 0…1, which lie in memory as the file takes them."""
        crops = (255 * images).to(torch.uint8)
        return crops.contiguous(memory_format=torch.channels_last)

    def __call__(self, crops: torch.Tensor) -> SmplParameters:
        """Run the file on what `prepare` gave."""
        return self._predictor(crops)


def _compiled(network: nn.Module, device: torch.device) -> nn.Module:
    import torch._dynamo.config as dynamo

    # All models share the code of `HMR.forward`, and each is compiled anew; beyond the limit torch would give up on
    # compiling without a word.
    dynamo.recompile_limit = dynamo.accumulated_recompile_limit = 10_000
    options: dict[str, Any] = {"freezing": True}
    if device.type == "cuda":
        options["triton.cudagraphs"] = True
    return torch.compile(network, fullgraph=True, dynamic=False, options=options)  # type: ignore[return-value]
