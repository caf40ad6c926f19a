"""What is exported: a network from the pixels of crops to SMPL's parameters and, if asked for, joints and the mesh."""

from __future__ import annotations

import contextlib
import copy

import torch
from torch import nn

from hmr_light.backbones.normalization import IMAGE_MEAN, IMAGE_STD
from hmr_light.deployment.posing import PosedBody
from hmr_light.errors import UserError
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import HMR
from hmr_light.model.integers import with_float_weights
from hmr_light.model.sharing import with_own_weights

OUTPUTS = {
    "parameters": ("rotations", "betas", "camera"),
    "joints": ("rotations", "betas", "camera", "joints"),
    "mesh": ("rotations", "betas", "camera", "joints", "vertices"),
}
"""What a file gives, by the choice of `outputs=`; see `SmplParameters` and `hmr_light.body.smpl.BodyOutput`."""


class DeployedNetwork(nn.Module):
    """RGB crops, values 0 to 255 → `OUTPUTS`, float32.

    `pixels` uint8: (B, S, S, 3), as image files have them. float32: (B, 3, S, S).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: HMR, pixels: str, body: PosedBody | None) -> None:
        super().__init__()
        self.model = model
        self.pixels = pixels
        self.body = body
        # Those of `hmr_light.model.hmr.normalize`, which keeps tensors from call to call: a tracer's must not stay.
        self.register_buffer("mean", 255 * torch.tensor(IMAGE_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(IMAGE_STD)[:, None, None], persistent=False)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.pixels == "uint8":
            # Contiguous: pooling is another operation for channels-last maps, which graphs do not know.
            image = image.permute(0, 3, 1, 2).contiguous().float()
        parameters = self.model((image - self.mean) / self.std)
        posed = () if self.body is None else self.body(parameters.rotations, parameters.betas)
        return (*parameters, *posed)

    def example(self, size: int, batch: int = 2) -> torch.Tensor:
        """Crops of `size` pixels a side without a picture."""
        shape = (batch, size, size, 3) if self.pixels == "uint8" else (batch, 3, size, size)
        return torch.zeros(shape, dtype=torch.uint8 if self.pixels == "uint8" else torch.float32)


def prepare(model: HMR) -> HMR:
    """A copy of `model`, in evaluation mode, that computes the same with fewer layers, and can be traced.

    The regressor is one affine map where it is one, and batch norms are within their convolutions where they can be.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    # First, for a norm that shared weights are behind stays a layer of its own.
    model.regressor = model.regressor.fold()
    model = with_float_weights(with_own_weights(model))
    with contextlib.suppress(UserError):  # a network that cannot be traced: its runtime may still fuse it
        model.backbone = fuse_conv_bn(model.backbone)
    for layer in model.modules():
        if getattr(layer, "inplace", False):  # tracing takes twice as long with them
            layer.inplace = False  # type: ignore[assignment]
    return model
