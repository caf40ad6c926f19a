"""Weights of other systems: their checkpoints' names → the same network, with our names.

| layout | container | backbone | head | its 6D rotations |
|---|---|---|---|---|
| SPIN (ICCV 2019) | `model` | `conv1…layer4` | `fc1…deccam`, `init_*` | interleaved |
| CLIFF (ECCV 2022) | `model` | `encoder.` | as SPIN's, `fc1` sees 3 numbers of the box | interleaved |
| HMR (CVPR 2018), in PyTorch | itself | `encoder.` | `regressor.fc_blocks.`, `mean_theta` | none |
| BEDLAM (CVPR 2023) | `state_dict` | `model.backbone.` | `model.head.`, as SPIN's or CLIFF's | interleaved |
| mmhuman3d | `state_dict` | `backbone.` | `head.`, as SPIN's | interleaved |
| 4D-Humans (ICCV 2023) | `state_dict` | `backbone.` | `smpl_head.`, as SPIN's where it is iterative | blocks |

Interleaved numbers are the rows of a (3, 2) matrix, ours too; in blocks, the first column comes first. HMR's port
(MandyMo/pytorch_HMR) sees images as OpenCV reads them, BGR, in -1 … 1, and holds the mean once for each sample of its
batches. Only ResNets and DenseNets with an iterative head are networks of ours: an HRNet, a vision transformer and a
transformer head are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from hmr_light.backbones.state_dicts import State, extract_state
from hmr_light.errors import UserError
from hmr_light.geometry import axis_angle_to_matrix, matrix_to_rot6d
from hmr_light.model.regressors.base import NUM_OUTPUTS

BOX = "bbox_info"
"""The name for what CLIFF's head sees besides: where the box is in the whole image, 3 numbers. Ours sees the crop."""
# Of each joint's 6 numbers: where in a block layout our interleaved layout finds them.
INTERLEAVED_FROM_BLOCKS = (0, 3, 1, 4, 2, 5)
_NORMS = re.compile(r"(.*)running_var")
# torchvision's names of both, which all these systems kept.
_TRUNK = re.compile(
    r"(?:(?=conv1|bn1|layer[1-4])|features\.(?=conv0|norm[05]|denseblock[1-4]|transition[1-3]))(\w+\..*)"
)
# Name and features: of ResNets by the number of blocks in the third stage, and whether they are bottlenecks; of
# DenseNets by the number of layers in the third block.
_RESNETS = {(2, False): ("resnet18", 512), (6, False): ("resnet34", 512), (6, True): ("resnet50", 2048)}
_DENSENETS = {24: ("densenet121", 1024), 32: ("densenet169", 1664), 48: ("densenet201", 1920)}
_SPIN_HEAD = {
    **{
        f"{layer}.{kind}": f"{layer}.{kind}"
        for layer in ("fc1", "fc2", "decpose", "decshape", "deccam")
        for kind in ("weight", "bias")
    },
    **{"init_pose": "init_pose", "init_shape": "init_shape", "init_cam": "init_cam"},
    **{"init_body_pose": "init_pose", "init_betas": "init_shape"},
}
_FIRST_LAYERS = {"backbone.network.trunk.conv1.weight", "backbone.network.trunk.conv0.weight"}
_HMR_HEAD = {
    f"fc_blocks.regressor_fc_{number}.{kind}": f"{layer}.{kind}"
    for number, layer in enumerate(("fc1", "fc2", "decode"))
    for kind in ("weight", "bias")
}


@dataclass(frozen=True)
class Layout:
    """How one system names its weights."""

    name: str
    mark: str
    """How the name of a weight begins that only this layout has, of those that follow in `LAYOUTS`."""
    backbone: str
    """Prefixes of the backbone's weights and of the head's."""
    head: str
    in_blocks: bool = False
    """Whether its 6D rotations come in blocks."""
    image_size: int = 224


LAYOUTS = (
    Layout("4D-Humans", "smpl_head.", "backbone.", "smpl_head.", in_blocks=True, image_size=256),
    Layout("BEDLAM", "model.head.", "model.backbone.", "model.head."),
    Layout("mmhuman3d", "head.", "backbone.", "head."),
    Layout("HMR", "regressor.fc_blocks.", "encoder.", "regressor."),
    Layout("CLIFF", "encoder.", "encoder.", ""),
    Layout("SPIN", "decpose.", "", ""),
)


@dataclass(frozen=True)
class Imported:
    """Another system's network, in our names."""

    layout: str
    config: dict[str, Any]
    """The nodes `backbone` and `regressor`, `data` with the size of its images, and `body`, which is SMPL for all."""
    state: State
    unexpected: tuple[str, ...]
    """What has no place in the network, by the file's own names."""


def import_weights(content: Mapping[str, Any]) -> Imported:
    """The network that the `content` of another system's checkpoint holds.

    Raises `UserError` for a layout that is not known, and for a network that is none of ours.
    """
    given = extract_state(content)
    layout = next((one for one in LAYOUTS if any(name.startswith(one.mark) for name in given)), None)
    if layout is None:
        names = ", ".join(one.name for one in reversed(LAYOUTS))
        raise UserError("its layout is not known", f"Known are hmr_light's own, and those of {names}.")
    places = {name: _place(name, layout) for name in given}
    state = {ours: given[name] for name, ours in places.items() if ours}
    unexpected = [name for name, ours in places.items() if not ours]
    for name in list(state):
        if norm := _NORMS.fullmatch(name):
            # Old files lack the count of batches, on which nothing that is computed depends.
            state.setdefault(f"{norm[1]}num_batches_tracked", torch.tensor(0))

    name, num_features = _backbone(given, layout)
    backbone = {"name": name, "weights": None, "adapter": {"name": "pooled"}}
    if layout.name == "HMR":
        backbone["pixels"] = "symmetric"
        for first in _FIRST_LAYERS & state.keys():
            state[first] = state[first].flip(1)  # of BGR; ours is RGB
        regressor = _hmr_head(state, given, unexpected)
    else:
        regressor = _spin_head(state, layout, num_features, unexpected)
    config = {"backbone": backbone, "regressor": regressor, "data": {"image_size": layout.image_size}}
    config["body"] = {"name": "smpl"}
    return Imported(layout.name, config, state, tuple(unexpected))


def _place(name: str, layout: Layout) -> str | None:
    """Our name for a weight; None for what has no place."""
    if name.startswith(layout.head):
        head = _HMR_HEAD if layout.name == "HMR" else _SPIN_HEAD
        if ours := head.get(name.removeprefix(layout.head)):
            return f"regressor.{ours}"
    if name.startswith(layout.backbone) and (found := _TRUNK.fullmatch(name.removeprefix(layout.backbone))):
        # What sees other pixels than ours is wrapped (`hmr_light.backbones.normalization`).
        return f"backbone.{'network.' if layout.name == 'HMR' else ''}trunk.{found[1]}"
    return None


def _backbone(given: State, layout: Layout) -> tuple[str, int]:
    """Our name for the backbone, and the number of its features."""
    names = [name.removeprefix(layout.backbone) for name in given if name.startswith(layout.backbone)]
    blocks = {name.split(".")[1] for name in names if name.startswith("layer3.")}
    layers = {name.split(".")[2] for name in names if name.startswith("features.denseblock3.")}
    is_bottleneck = "layer1.0.conv3.weight" in names
    if found := _RESNETS.get((len(blocks), is_bottleneck)) or _DENSENETS.get(len(layers)):
        return found
    kind = "another network"
    if any(name.startswith("stage2.") for name in names):
        kind = "an HRNet"
    elif any(name.startswith("blocks.0.") for name in names):
        kind = "a vision transformer"
    raise UserError(
        f"its layout is {layout.name}'s, and its backbone is {kind}; hmr_light has no such backbone",
        f"Of such files those with {', '.join(name for name, _ in (_RESNETS | _DENSENETS).values())} can be read.",
    )


def _spin_head(state: State, layout: Layout, num_features: int, unexpected: list[str]) -> dict[str, Any]:
    """Check SPIN's iterative head in `state`, bring it into our layout, and describe it."""
    fc1, pose, betas = (state.get(f"regressor.{name}.weight") for name in ("fc1", "decpose", "decshape"))
    if fc1 is None or pose is None or betas is None:
        raise UserError(
            f"its layout is {layout.name}'s, and its head is not iterative: it has no fc1, decpose and decshape",
            "Of such files those with SPIN's head can be read.",
        )
    if (len(pose), len(betas)) != (144, 10):
        raise UserError(
            f"its head gives {len(pose) / 6:g} joints and {len(betas)} betas, SMPL has 24 and 10",
            "Use the checkpoint of that system that was trained for SMPL.",
        )
    if fc1.shape[1] == num_features + 3 + NUM_OUTPUTS:
        unexpected.append(BOX)
        fc1 = torch.cat((fc1[:, :num_features], fc1[:, num_features + 3 :]), dim=1)
    if layout.in_blocks:
        # The estimate is read (fc1's columns) as it is written (decpose's rows).
        order = torch.tensor([6 * joint + place for joint in range(24) for place in INTERLEAVED_FROM_BLOCKS])
        columns = torch.arange(fc1.shape[1])
        columns[-NUM_OUTPUTS : -NUM_OUTPUTS + 144] = order + num_features
        fc1 = fc1[:, columns]
        for name in ("decpose.weight", "decpose.bias"):
            if f"regressor.{name}" in state:
                state[f"regressor.{name}"] = state[f"regressor.{name}"][order]
        if (mean := state.get("regressor.init_pose")) is not None:
            state["regressor.init_pose"] = mean.reshape(1, -1)[:, order]
    state["regressor.fc1.weight"] = fc1
    for name in ("init_pose", "init_shape", "init_cam"):
        if f"regressor.{name}" in state:
            state[f"regressor.{name}"] = state[f"regressor.{name}"].reshape(1, -1)
    return {"name": "spin", "hidden": len(fc1), "iterations": 3, "dropout": 0.5}


def _hmr_head(state: State, given: State, unexpected: list[str]) -> dict[str, Any]:
    """Check HMR's iterative head in `state`, add the mean that it starts from, and describe it."""
    fc1, name = state.get("regressor.fc1.weight"), next((one for one in given if one.endswith("mean_theta")), None)
    if fc1 is None or name is None or given[name].numel() % 85:
        raise UserError("its head lacks fc_blocks.regressor_fc_0 or mean_theta (…, 85)", "Use the whole checkpoint.")
    unexpected.remove(name)
    means = given[name].reshape(-1, 85).float()
    if not len(means) or not torch.equal(means, means[:1].expand_as(means)):
        raise UserError("the rows of its mean_theta are not one mean", "Use the checkpoint as training wrote it.")
    camera, pose, betas = means[:1].split((3, 72, 10), dim=1)
    six = matrix_to_rot6d(axis_angle_to_matrix(pose.unflatten(1, (24, 3))))
    state |= {
        "regressor.init_pose": six.flatten(1),
        "regressor.init_shape": betas,
        "regressor.init_cam": camera,
        "regressor.mean_axis_angle": pose,
    }
    return {"name": "hmr", "hidden": len(fc1), "iterations": 3, "dropout": 0.5}
