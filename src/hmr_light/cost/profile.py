"""What a network costs before anything is trained or timed: the reference table of sizes and what it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hmr_light.cost.activations import FLOAT32_BYTES, MIB, forward_backward_mib, peak_activation_elements
from hmr_light.cost.layers import Layer, trace_layers
from hmr_light.cost.macs import count_macs
from hmr_light.cost.parameters import bytes_on_disk, count_parameters
from hmr_light.cost.shapes import shapes_of
from hmr_light.model.hmr import HMR


class Profile(NamedTuple):
    """The costs of a model.

    Sizes are in MiB (2^20 bytes) of float32, which torchsummary calls MB, as the reference tables do.
    The first five are the columns of the reference table, which are of the backbone alone.
    """

    parameters_backbone: int
    input_mib: float
    forward_backward_mib: float
    """All modules' outputs, once forward and once back."""
    parameters_mib: float
    total_mib: float
    """Input, forward and backward, parameters: torchsummary's estimate of what training on one image takes."""
    macs_backbone: int
    peak_activation_mib: float
    """See `peak_activation_elements`."""
    parameters_regressor: int
    parameters: int
    """Backbone and regressor, as trained."""
    parameters_folded: int
    """Backbone and folded regressor, as evaluation needs them."""
    macs: int
    """Backbone and regressor, as trained."""
    disk_mib: float
    """The file of the whole model's state."""
    memory_access_mib: float
    """What the backbone's convolutions and linear layers read and write; see `Layer.accesses`."""
    gradients_mib: float
    """What each process of a training with several sends to the others in every step, in one direction."""


def profile(model: HMR, image_size: int) -> Profile:
    """The costs of `model` for one image (3, `image_size`, `image_size`)."""
    shapes = shapes_of(model)
    parameters, macs = count_parameters(shapes), count_macs(shapes, image_size)
    input_mib = FLOAT32_BYTES * 3 * image_size**2 / MIB
    layers = trace_layers(shapes.backbone, image_size)
    activations_mib = forward_backward_mib(layers)
    parameters_mib = FLOAT32_BYTES * parameters.backbone / MIB
    return Profile(
        parameters_backbone=parameters.backbone,
        input_mib=input_mib,
        forward_backward_mib=activations_mib,
        parameters_mib=parameters_mib,
        total_mib=input_mib + activations_mib + parameters_mib,
        macs_backbone=macs.backbone,
        peak_activation_mib=FLOAT32_BYTES * peak_activation_elements(shapes.backbone, image_size) / MIB,
        parameters_regressor=parameters.regressor,
        parameters=parameters.total,
        parameters_folded=parameters.folded,
        macs=macs.total,
        disk_mib=bytes_on_disk(model) / MIB,
        memory_access_mib=FLOAT32_BYTES * sum(layer.accesses for layer in layers) / MIB,
        gradients_mib=FLOAT32_BYTES * parameters.total / MIB,
    )


class Share(NamedTuple):
    """What the layers of one kind cost together. Shares are fractions of the whole network."""

    kind: str
    layers: int
    parameters: int
    parameters_share: float
    weights_share: float
    """Of the weights of convolutions and linear layers alone, as the papers' tables count."""
    macs: int
    macs_share: float


def shares(layers: Sequence[Layer]) -> list[Share]:
    """What the layers of each kind cost together, the most multiply-accumulates first."""
    parameters, weights, macs = (
        sum(getattr(layer, of) for layer in layers) or 1 for of in ("parameters", "weights", "macs")
    )
    found = []
    for kind in dict.fromkeys(layer.kind for layer in layers if layer.parameters):
        same = [layer for layer in layers if layer.kind == kind]
        own_parameters, own_macs = sum(layer.parameters for layer in same), sum(layer.macs for layer in same)
        own_weights = sum(layer.weights for layer in same)
        found.append(
            Share(
                kind=kind,
                layers=len(same),
                parameters=own_parameters,
                parameters_share=own_parameters / parameters,
                weights_share=own_weights / weights,
                macs=own_macs,
                macs_share=own_macs / macs,
            )
        )
    return sorted(found, key=lambda share: (-share.macs, -share.parameters))
