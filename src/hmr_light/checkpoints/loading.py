"""Weights from any checkpoint: our own, or one of another system (`hmr_light.checkpoints.foreign`)."""

from __future__ import annotations

import re
import time
import zipfile
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmr_light.checkpoints.foreign import Imported, State, import_weights
from hmr_light.checkpoints.format import Checkpoint, read_model
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model

_SHOWN = 12
"""Names of weights that a message lists; of networks that differ altogether there are hundreds."""


def read_any_model(path: Path, allow: Sequence[str] = ()) -> Checkpoint:
    """The model in an `epoch-NNN.pt` or in another system's checkpoint.

    Raises `UserError` for a file that holds none, and for weights that are missing or have no place, unless a pattern
    in `allow` names them: what is missing keeps its initial values then.
    """
    content = _load(path)
    if "format" in content:
        return read_model(path)
    imported = _imported(content, path)
    model = build_model(imported.config)
    take_weights(model, imported.state, imported.unexpected, path, "checkpoint_allow", allow)
    epoch = content.get("epoch")
    saved = time.strftime("%y%m%d-%H%M%S", time.localtime(path.stat().st_mtime))
    return Checkpoint(
        path, imported.config, epoch if isinstance(epoch, int) else 0, saved, dict(model.state_dict()), {}
    )


def start_from(model: nn.Module, path: Path, allow: Sequence[str] = ()) -> None:
    """Give `model` the weights in `path`; see `read_any_model`."""
    content = _load(path)
    if "format" in content:
        take_weights(model, read_model(path).state, (), path, "init_allow", allow)
    else:
        imported = _imported(content, path)
        take_weights(model, imported.state, imported.unexpected, path, "init_allow", allow)


def take_weights(
    model: nn.Module, state: State, unexpected: Sequence[str], path: Path, option: str, allow: Sequence[str]
) -> None:
    """Load `state` into `model`, all of it but what a pattern in `allow`, the value of `option`, names.

    Raises `UserError` that lists what is missing, unexpected, or of another shape, and not allowed.
    """
    own = model.state_dict()
    differing = {name for name in own.keys() & state.keys() if own[name].shape != state[name].shape}
    problems = {
        "missing": own.keys() - state.keys(),
        "unexpected": {*unexpected, *(state.keys() - own.keys())},
        "of another shape": differing,
    }
    refused = {kind: _not_allowed(names, allow) for kind, names in problems.items()}
    if any(refused.values()):
        parts = [f"{len(names)} {kind}: {_listed(names)}" for kind, names in refused.items() if names]
        raise UserError(
            f"{path} holds the weights of another model; {'; '.join(parts)}",
            f"Choose the backbone and the regressor that it was trained with, or say by name what may differ: "
            f"{option}=[NAME,…] (names may hold *).",
        )
    model.load_state_dict({name: state[name] for name in own.keys() & state.keys() - differing}, strict=False)


def _not_allowed(names: Iterable[str], allow: Sequence[str]) -> list[str]:
    return sorted(name for name in names if not any(fnmatchcase(name, pattern) for pattern in allow))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _imported(content: dict[str, Any], path: Path) -> Imported:
    try:
        return import_weights(content)
    except UserError as error:
        raise UserError(f"{path} is not a checkpoint of hmr_light: {error.message}", error.remedy) from error
    except (IndexError, RuntimeError, TypeError, ValueError) as error:  # tensors of no use to anybody
        raise UserError(f"{path} cannot be read as a checkpoint: {error}", "Fetch it again.") from error


def _load(path: Path) -> dict[str, Any]:
    """What a file of `torch.save` holds, of whatever version. No pickled code is run."""
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}", "Name a file, for example in a run's checkpoints/ folder.")
    try:
        # Files of before torch 1.6 are no zip, and cannot be mapped.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # a damaged file makes the reader raise almost anything
        if forbidden := re.search(r"Unsupported (?:global|class|operand).*?([\w.]+\.[\w.]+)", str(error)):
            raise UserError(
                f"{path} cannot be read as a checkpoint: it holds a {forbidden[1]}, and reading that runs its code",
                "In the environment it was made in, save its weights alone: "
                "torch.save({'state_dict': torch.load(FILE, weights_only=False)['state_dict']}, NEW)",
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read as a checkpoint: {reason}", "Fetch it, or train it, again.") from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path} is not a checkpoint of hmr_light: it holds a {type(content).__name__}", "Name another."
        )
    return content
