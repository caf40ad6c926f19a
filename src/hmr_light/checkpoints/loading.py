"""The one reader of checkpoints: our own, or those of other systems (`hmr_light.checkpoints.foreign`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from hmr_light.backbones.state_dicts import State, compare, read_torch_file, refuse_not_finite, without
from hmr_light.checkpoints.foreign import Imported, import_weights
from hmr_light.checkpoints.format import Checkpoint, is_ours, parse_model, verify
from hmr_light.checkpoints.hmrz import is_hmrz, read_hmrz
from hmr_light.checkpoints.transforms import apply_transforms
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model
from hmr_light.paths import checkpoint_file

DIVERGED = "The training diverged: take another checkpoint, of an earlier epoch or of another run."


def load_checkpoint(path: Path, allow: Sequence[str] = ()) -> Checkpoint:
    """The model in an `epoch-NNN.pt`, in another system's checkpoint, or one of the package by its name.

    Raises `UserError` for a file that holds none, and for weights that are missing or have no place, unless a pattern
    in `allow` names them: what is missing keeps its initial values then.
    """
    path = checkpoint_file(path)
    content = _load(path)
    if is_ours(content):
        return parse_model(content, path)
    imported = _imported(content, path)
    model = build_model(imported.config)
    take_weights(model, imported.state, imported.unexpected, path, "checkpoint_allow", allow)
    epoch = content.get("epoch")
    saved = time.strftime("%y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
    return Checkpoint(
        path, imported.config, epoch if isinstance(epoch, int) else 0, saved, dict(model.state_dict()), {}
    )


def network_config(path: Path) -> dict[str, Any]:
    """What the network in `path` is built from: the nodes `backbone` and `regressor`, and `image_size`, pixels.

    Raises `UserError` for a file that holds none.
    """
    path = checkpoint_file(path)
    content = _load(path)
    config = parse_model(content, path).config if is_ours(content) else _imported(content, path).config
    return {
        "backbone": dict(config["backbone"]),
        "regressor": dict(config["regressor"]),
        "image_size": config["data"]["image_size"],
    }


def start_from(model: HMR, path: Path, allow: Sequence[str] = ()) -> HMR:
    """`model` with the weights in `path`, and changed as the model there was; see `load_checkpoint`."""
    path = checkpoint_file(path)
    content = _load(path)
    if is_ours(content):
        checkpoint = parse_model(content, path)
        model = apply_transforms(model.eval(), checkpoint.transforms)
        take_weights(model, checkpoint.state, (), path, "init_allow", allow)
    else:
        imported = _imported(content, path)
        take_weights(model, imported.state, imported.unexpected, path, "init_allow", allow)
    return model


def take_weights(
    model: nn.Module, state: State, unexpected: Sequence[str], path: Path, option: str, allow: Sequence[str]
) -> None:
    """Load `state` into `model`, all of it but what a pattern in `allow`, the value of `option`, names.

    Raises `UserError` that lists what is missing, unexpected, or of another shape, and not allowed, and for values that
    are not finite.
    """
    own = model.state_dict()
    differences = compare(own, state)
    differences.unexpected.extend(unexpected)
    refused = without(differences, allow)
    if any(refused):
        raise UserError(
            f"{path} holds the weights of another model: {refused}",
            f"Choose the backbone and the regressor that it was trained with, or say by name what may differ: "
            f"{option}=[NAME,…] (names may hold *).",
        )
    refuse_not_finite(state, path, DIVERGED)
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(fitting, strict=False)


def _imported(content: dict[str, Any], path: Path) -> Imported:
    try:
        return import_weights(content)
    except UserError as error:
        raise UserError(f"{path} is not a checkpoint of hmr_light: {error.message}", error.remedy) from error
    except (IndexError, RuntimeError, TypeError, ValueError) as error:  # tensors that fit no network
        raise UserError(f"{path} cannot be read as a checkpoint: {error}", "Fetch it again.") from error


def _load(path: Path) -> dict[Any, Any]:
    """What a file of `torch.save` holds, of whatever system. No pickled code is run."""
    if path.is_dir():
        raise UserError(
            f"{path} is a folder, not a checkpoint",
            "Name a file in it; of a run's folder, checkpoints/epoch-NNN.pt.",
        )
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}", "Name a file, for example in a run's checkpoints/ folder.")
    if is_hmrz(path):
        return read_hmrz(path)
    content = read_torch_file(path, "a checkpoint")
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is not a checkpoint of hmr_light: it holds a {type(content).__name__}",
            "Of a network that was saved whole, save the weights: torch.save(network.state_dict(), NEW).",
        )
    if is_ours(content):
        verify(path)
    return content
