"""Weights that a backbone starts from: torchvision's ImageNet weights, MoveNet's, or a file of the user's."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hmr_light.backbones.state_dicts import State, compare, extract_state, read_torch_file, refuse_not_finite
from hmr_light.errors import UserError

MOVENET = Path(__file__).parents[1] / "zoo" / "movenet.pth"
"""MoveNet Lightning's backbone with torchvision's names; `scripts/build_movenet.py` writes it."""

_SECONDS_WITHOUT_ANSWER = 30


def load_weights(
    model: nn.Module,
    name: str,
    weights: str,
    classifier: str | tuple[str, ...],
    keep_classifier: bool,
    rename: Callable[[str], str] = str,
) -> None:
    """Load `weights` into `model`, the whole ImageNet classifier called `name`, there and in torchvision.

    `weights` is `imagenet` (torchvision's IMAGENET1K_V1, downloaded once to torch's cache), `movenet` (MoveNet's
    backbone, which comes with the package and has no classifier), or the path of a file with a state dict of the
    model's names, or of names of which `rename` makes these; `extract_state` unwraps it. Without `keep_classifier`,
    entries whose names begin with `classifier` are neither needed nor loaded. Raises `UserError` for weights that
    cannot be had, read or fitted: none is ever left out in silence.
    """
    if weights == "imagenet":
        source, state = "torchvision's ImageNet weights", _imagenet_state(name)
    elif weights == "movenet":
        source, state = "MoveNet's weights", _movenet_state(name, keep_classifier)
    else:
        source, state = weights, _file_state(Path(weights).expanduser())
    state = {rename(key): value for key, value in state.items()}
    wanted = model.state_dict()
    if not keep_classifier:
        wanted = {key: value for key, value in wanted.items() if not key.startswith(classifier)}
        state = {key: value for key, value in state.items() if not key.startswith(classifier)}
    # Files of before 2018 lack these counters, which nothing computes with.
    state = {key: value for key, value in wanted.items() if key.endswith("num_batches_tracked")} | state
    differences = compare(wanted, state)
    if any(differences):
        raise UserError(
            f"backbone.weights={weights} does not fit {name}: {differences}",
            f"Give a state_dict of {name}'s classifier: backbone.weights=/path/to/file.pth, or backbone.weights=null.",
        )
    refuse_not_finite(state, source, "Use another file.")
    model.load_state_dict(state, strict=False)  # strictly checked above


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """The backbone `config` with what its weights imply written into it: a checkpoint is read without those weights.

    MoveNet's weights want TensorFlow's padding and RGB in -1 … 1; other values that `config` gives are kept.
    """
    completed = dict(config)
    if (config.get("name"), config.get("weights")) == ("mobilenet_v2", "movenet"):
        completed["padding"] = config.get("padding") or "same"
        completed["pixels"] = config.get("pixels") or "symmetric"
    return completed


def _movenet_state(name: str, keep_classifier: bool) -> State:
    if name != "mobilenet_v2":
        raise UserError(
            f"backbone.weights=movenet does not fit {name}: MoveNet's backbone is a MobileNetV2",
            "Choose backbone=mobilenet_v2_movenet, or other weights.",
        )
    if keep_classifier:
        raise UserError(
            "backbone.weights=movenet has no weights of the classifier, which backbone/adapter=logits uses",
            "Choose backbone=mobilenet_v2_movenet, or another adapter: backbone/adapter=pooled.",
        )
    return extract_state(read_torch_file(MOVENET, "MoveNet's weights"))


def _imagenet_state(name: str) -> State:
    import torchvision

    entry = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    try:
        with _network_timeout():
            return entry.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except Exception as error:  # the network's, and whatever a damaged file makes of the unpickler
        cache = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
        raise UserError(
            f"backbone.weights=imagenet: {cache.name} could not be loaded: {_reason(error)}",
            f"Check the network, or put the file at {cache}, or give one with backbone.weights=/path/to/file.pth, "
            "or start from random weights with backbone.weights=null.",
        ) from error


def _file_state(path: Path) -> State:
    if not path.is_file():
        raise UserError(
            f"backbone.weights={path}: {'it is a folder' if path.is_dir() else 'there is no such file'}",
            "Give a file of weights (backbone.weights=/path/to/file.pth), imagenet, movenet, or null (random).",
        )
    content = read_torch_file(path, "weights of a backbone")
    if isinstance(content, dict) and "format" in content:
        raise UserError(
            f"backbone.weights={path} is a checkpoint of hmr_light: backbone and regressor together",
            f"Start from it by init={path}; add init_allow=[regressor.*] where the regressor differs.",
        )
    state = extract_state(content) if isinstance(content, dict) else {}
    if not state:
        raise UserError(
            f"backbone.weights={path} is not a state_dict",
            "Give a state_dict saved with torch.save: tensors by name, alone or under 'state_dict' or 'model'.",
        )
    return state


@contextmanager
def _network_timeout() -> Iterator[None]:
    """torch.hub waits for a silent server for ever; here it does not."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS_WITHOUT_ANSWER)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
