"""TensorFlow's padding of strided convolutions, for weights that were trained with it."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import pad


class SamePad(nn.Module):
    """Zeros around maps (B, C, h, w), so that the unpadded convolution after it is TensorFlow's with `padding="SAME"`.

    The convolution has a kernel of `kernel` pixels, at least its `stride`, and gives ⌈size / stride⌉ pixels a side. Of
    an odd number of zeros, one more stands at the right and at the bottom. torch's own padding is the same on both
    sides, so with stride 2 it differs at even sizes.

    A module of its own, without weights: the convolution stays an `nn.Conv2d`, which counting, fusion and export know.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        if kernel < stride:
            raise ValueError(f"a kernel of {kernel} pixels leaves some out at a stride of {stride}")
        self.kernel, self.stride = kernel, stride

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        # No branches, so that torch.fx can trace it for all sizes: what the last window lacks is never less than 0.
        height, width = (self.kernel - 1 - (maps.shape[side] - 1) % self.stride for side in (2, 3))
        return pad(maps, (width // 2, width - width // 2, height // 2, height - height // 2))

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"


def pad_same(network: nn.Module) -> None:
    """Give every strided convolution of `network` TensorFlow's SAME padding, in place.

    Its weights keep their names. Raises `ValueError` for a strided convolution that stands in no `nn.Sequential`, or
    has a kernel that is not square or is dilated. Pooling stays as it is.
    """
    for parent in list(network.modules()):
        strided = [name for name, layer in parent.named_children() if isinstance(layer, nn.Conv2d) and _strides(layer)]
        if not strided:
            continue
        if not isinstance(parent, nn.Sequential):
            raise ValueError(f"{type(parent).__name__}.{strided[0]} stands in no nn.Sequential")
        layers = list(parent.named_children())
        for name, _ in layers:
            delattr(parent, name)
        for name, layer in layers:
            if name in strided and isinstance(layer, nn.Conv2d):
                if len(set(layer.kernel_size)) > 1 or len(set(layer.stride)) > 1 or set(layer.dilation) != {1}:
                    raise ValueError(f"{layer} cannot be padded")
                parent.add_module(f"{name}_pad", SamePad(layer.kernel_size[0], layer.stride[0]))
                layer.padding = (0, 0)
            parent.add_module(name, layer)


def _strides(layer: nn.Conv2d) -> bool:
    """Whether it moves by more than a pixel and sees more than one: 1×1 convolutions need no padding."""
    return max(layer.stride) > 1 and max(layer.kernel_size) > 1
