"""The blocks that a list of stages can name: (inputs, outputs, stride) and options → a module.

A builder refuses numbers that it cannot build, by a `UserError` that does not say where the block stands: `stages` adds
the stage.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import nn

from hmr_light.backbones import mobilenet_v1, shufflenet_v1, shufflenet_v2, squeezenet
from hmr_light.backbones.blocks import InvertedResidual, Residual, SqueezeExcitation, conv_bn, plain_conv
from hmr_light.config.registry import Registry
from hmr_light.errors import UserError

blocks: Registry[nn.Module] = Registry("backbone.stages", key="block")

Activation = Literal["relu", "relu6", "hardswish", "silu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
}


@blocks.register("conv")
def conv(
    inputs: int,
    outputs: int,
    stride: int,
    *,
    kernel: int = 3,
    groups: int = 1,
    activation: Activation = "relu",
    squeeze_excitation: bool = False,
) -> nn.Module:
    """A convolution, normalised and activated."""
    check_kernel(kernel)
    _check_groups(groups, inputs=inputs, outputs=outputs)
    layers = conv_bn(inputs, outputs, kernel, stride, groups=groups, activation=ACTIVATIONS[activation])
    return _weighed(layers, outputs, squeeze_excitation)


@blocks.register("separable")
def separable(
    inputs: int, outputs: int, stride: int, *, kernel: int = 3, squeeze_excitation: bool = False
) -> nn.Module:
    """MobileNetV1's: a depthwise convolution, then a 1×1."""
    check_kernel(kernel)
    layers = mobilenet_v1.depthwise_separable(inputs, outputs, stride, kernel)
    return _weighed(layers, outputs, squeeze_excitation)


@blocks.register("inverted_residual")
def inverted_residual(
    inputs: int,
    outputs: int,
    stride: int,
    *,
    kernel: int = 3,
    expand: float = 6.0,
    squeeze_excitation: bool = False,
    activation: Activation = "relu6",
) -> nn.Module:
    """MobileNetV2's, or, with squeeze-and-excitation, V3's: `expand` times as many maps inside as enter."""
    check_kernel(kernel)
    if not 0 < expand <= 64:
        raise UserError(f"expand={expand} is out of range", "Give more than 0 and at most 64.")
    expanded = max(1, round(inputs * expand))
    return InvertedResidual(
        inputs, outputs, stride, expanded, kernel, activation=ACTIVATIONS[activation], weigh=squeeze_excitation
    )


@blocks.register("fire")
def fire(
    inputs: int,
    outputs: int,
    stride: int,
    *,
    squeeze_ratio: float = 0.125,
    share_3x3: float = 0.5,
    norm: bool = False,
    shortcut: bool = False,
    squeeze_excitation: bool = False,
) -> nn.Module:
    """SqueezeNet's Fire module; with stride 2, after max pooling. `norm` normalises its layers.

    `shortcut` adds the input where it is as wide as the output (SqueezeNet's simple bypass).
    """
    _check_share("squeeze_ratio", squeeze_ratio)
    if not 0 < share_3x3 < 1 or outputs < 2:
        raise UserError(
            f"share_3x3={share_3x3} of {outputs} maps leaves one of the two expanding layers without maps",
            "Give share_3x3 more than 0 and less than 1, and out at least 2.",
        )
    layer = partial(conv_bn, activation=None) if norm else plain_conv
    module: nn.Module = squeezenet.fire(inputs, outputs, squeeze_ratio, share_3x3, layer)
    if shortcut and inputs == outputs:
        module = Residual(module)
    module = _weighed(module, outputs, squeeze_excitation)
    return nn.Sequential(squeezenet.max_pool(), module) if stride == 2 else module


@blocks.register("shuffle_v1")
def shuffle_v1(
    inputs: int,
    outputs: int,
    stride: int,
    *,
    kernel: int = 3,
    groups: int = 3,
    group_first: bool = True,
    shuffle: bool = True,
    squeeze_excitation: bool = False,
) -> nn.Module:
    """ShuffleNet's unit. `group_first: false` does not group its first layer, as the paper has it after the stem.

    `shuffle: false` leaves the maps where they are, as in the paper's comparison (table 3).
    """
    check_kernel(kernel)
    if stride == 1 and inputs != outputs:
        raise UserError(
            f"a unit of stride 1 gives as many maps as it takes, not {outputs} of {inputs}",
            f"Give out={inputs}, or stride=2.",
        )
    if stride == 2 and outputs <= inputs:
        raise UserError(
            f"a unit of stride 2 adds maps to the {inputs} that it takes, and out={outputs} is not more",
            f"Give out more than {inputs}.",
        )
    if outputs < 4:
        raise UserError(f"out={outputs} leaves no maps for its inner layers, a quarter as wide", "Give at least 4.")
    added = {"outputs": outputs} if stride == 1 else {"outputs": outputs, "added maps": outputs - inputs}
    _check_groups(groups, **({"inputs": inputs} if group_first else {}), **added)
    return shufflenet_v1.ShuffleUnit(
        inputs,
        outputs,
        stride,
        groups,
        first=not group_first,
        bias=False,
        weigh=squeeze_excitation,
        kernel=kernel,
        shuffle=shuffle,
    )


@blocks.register("shuffle_v2")
def shuffle_v2(
    inputs: int,
    outputs: int,
    stride: int,
    *,
    kernel: int = 3,
    form: Literal["plain", "xception"] = "plain",
    residual: bool = False,
    squeeze_excitation: bool = False,
) -> nn.Module:
    """ShuffleNetV2's unit, or with `form` `xception` the one of three depthwise convolutions."""
    check_kernel(kernel)
    if outputs % 2:
        raise UserError(f"out={outputs} is odd, and the unit halves its maps", "Give an even number.")
    if stride == 1 and inputs != outputs:
        raise UserError(
            f"a unit of stride 1 gives as many maps as it takes, not {outputs} of {inputs}",
            f"Give out={inputs}, or stride=2.",
        )
    return shufflenet_v2.ShuffleUnit(
        inputs, outputs, stride, kernel, residual, xception=form == "xception", weigh=squeeze_excitation
    )


@blocks.register("residual")
def residual(inputs: int, outputs: int, stride: int, *, kernel: int = 3, squeeze_excitation: bool = False) -> nn.Module:
    """ResNet's basic block: two convolutions and a shortcut."""
    check_kernel(kernel)
    layers = nn.Sequential(conv_bn(inputs, outputs, kernel, stride), conv_bn(outputs, outputs, kernel, activation=None))
    return _with_shortcut(_weighed(layers, outputs, squeeze_excitation), inputs, outputs, stride)


@blocks.register("bottleneck")
def bottleneck(
    inputs: int,
    outputs: int,
    stride: int,
    *,
    kernel: int = 3,
    squeeze_ratio: float = 0.25,
    groups: int = 1,
    squeeze_excitation: bool = False,
) -> nn.Module:
    """ResNet's bottleneck: 1×1 to `squeeze_ratio` of the outputs, a convolution in `groups`, 1×1, and a shortcut."""
    check_kernel(kernel)
    _check_share("squeeze_ratio", squeeze_ratio)
    inner = max(1, round(squeeze_ratio * outputs))
    _check_groups(groups, **{"squeezed maps": inner})
    layers = nn.Sequential(
        conv_bn(inputs, inner),
        conv_bn(inner, inner, kernel, stride, groups=groups),
        conv_bn(inner, outputs, activation=None),
    )
    return _with_shortcut(_weighed(layers, outputs, squeeze_excitation), inputs, outputs, stride)


def check_kernel(kernel: int) -> None:
    """Raise `UserError` unless a convolution of `kernel` pixels can be padded so that it keeps the maps' size."""
    if not (1 <= kernel <= 31 and kernel % 2):
        raise UserError(f"kernel={kernel} cannot be centred on a pixel", "Give an odd number from 1 to 31.")


def _check_groups(groups: int, **channels: int) -> None:
    if groups < 1:
        raise UserError(f"groups={groups} is too small", "Give at least 1.")
    for name, number in channels.items():
        if number % groups:
            raise UserError(
                f"groups={groups} does not divide its {number} {name}",
                "Choose numbers of maps that are multiples of it.",
            )


def _check_share(name: str, share: float) -> None:
    if not 0 < share <= 1:
        raise UserError(f"{name}={share} is out of range", "Give more than 0 and at most 1.")


def _weighed(block: nn.Sequential | nn.Module, outputs: int, weigh: bool) -> nn.Module:
    """`block` and, on demand, squeeze-and-excitation of its outputs (Hu et al.: a sixteenth as many hidden numbers)."""
    return nn.Sequential(block, SqueezeExcitation(outputs, max(1, outputs // 16))) if weigh else block


def _with_shortcut(block: nn.Module, inputs: int, outputs: int, stride: int) -> nn.Sequential:
    same = stride == 1 and inputs == outputs
    shortcut = None if same else conv_bn(inputs, outputs, stride=stride, activation=None)
    return nn.Sequential(Residual(block, shortcut), nn.ReLU(inplace=True))
