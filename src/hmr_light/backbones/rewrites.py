"""Rewrites of any backbone's convolutions: every 3×3 → 1×1 then 3×3, every 5×5 → two 3×3.

Both are proposals of the reference tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn

from hmr_light.backbones.blocks import conv_bn, initialize
from hmr_light.errors import UserError, did_you_mean


def squeeze_3x3(conv: nn.Conv2d) -> nn.Module | None:
    """A 3×3 convolution as a 1×1 that halves the maps (normalised, ReLU), then a 3×3: SqueezeNet's strategy 2.

    None for what it does not touch: depthwise and other grouped convolutions, whose 3×3 costs next to nothing, and the
    first layer, whose three maps there is no halving.
    """
    if conv.kernel_size != (3, 3) or conv.groups > 1 or conv.in_channels <= 3:
        return None
    inner = conv.in_channels // 2
    return nn.Sequential(conv_bn(conv.in_channels, inner), _like(conv, inner, conv.out_channels, 3, conv.stride))


def split_5x5(conv: nn.Conv2d) -> nn.Module | None:
    """A 5×5 convolution as two 3×3 that see as far (Szegedy et al., CVPR 2016, section 3.1); None for others.

    The first keeps the number of maps and the size (normalised, ReLU), so that depthwise ones stay depthwise.
    """
    if conv.kernel_size != (5, 5) or conv.padding != (2, 2) or conv.dilation != (1, 1):
        return None
    inputs = conv.in_channels
    first = conv_bn(inputs, inputs, 3, groups=conv.groups)
    return nn.Sequential(first, _like(conv, inputs, conv.out_channels, 3, conv.stride, padding=1))


REWRITES: dict[str, Callable[[nn.Conv2d], nn.Module | None]] = {"squeeze_3x3": squeeze_3x3, "split_5x5": split_5x5}


def rewrite(trunk: nn.Module, names: Iterable[str]) -> None:
    """Replace, in place, every convolution of `trunk` that one of the rewrites `names` applies to.

    A rewrite does not see what another has made. Raises `UserError` for an unknown name and for a rewrite that finds
    nothing to replace.
    """
    convolutions = [
        (parent, name, layer)
        for parent in trunk.modules()
        for name, layer in parent.named_children()
        if type(layer) is nn.Conv2d
    ]
    for chosen in names:
        if chosen not in REWRITES:
            raise UserError(f"backbone.rewrites: there is no {chosen}", did_you_mean(str(chosen), REWRITES))
        replaced = [(parent, name, REWRITES[chosen](layer)) for parent, name, layer in convolutions]
        if all(new is None for _, _, new in replaced):
            raise UserError(f"backbone.rewrites: {chosen} finds no such convolution in this backbone", "Leave it out.")
        for parent, name, new in replaced:
            if new is not None:
                initialize(new)
                setattr(parent, name, new)


def _like(
    conv: nn.Conv2d, inputs: int, outputs: int, kernel: int, stride: tuple[int, ...], padding: int | None = None
) -> nn.Conv2d:
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride,  # type: ignore[arg-type]
        conv.padding if padding is None else padding,  # type: ignore[arg-type]
        dilation=conv.dilation,  # type: ignore[arg-type]
        groups=conv.groups,
        bias=conv.bias is not None,
    )
