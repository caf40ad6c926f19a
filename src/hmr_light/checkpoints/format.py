"""Checkpoints: written atomically, read without trusting them.

Two kinds of file, both dictionaries of tensors and plain values: `epoch-NNN.pt` is a model (one row of the table),
`last.pt` is the whole state of a training run, and `previous.pt` the one before it.

A file is a zip, as `torch.save` makes it: its directory at the end tells a file that was cut, and the CRC-32 of every
record tells one that was changed. `torch.load` looks at neither; `verify` does.

A model of format 2 holds, beside its weights, the run's whole `config` and the list of `transforms` that its structure
was changed by since (`hmr_light.checkpoints.transforms`). Format 1 had none; it is read as having an empty list.
"""

from __future__ import annotations

import os
import shutil
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hmr_light.backbones import complete
from hmr_light.backbones.state_dicts import State, compare, read_torch_file
from hmr_light.checkpoints.old_names import with_current_names
from hmr_light.checkpoints.transforms import Transform, apply_transforms, check_transforms
from hmr_light.config.run_config import FILE_NAME as RUN_CONFIG
from hmr_light.data.workers import is_loader_failure
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model
from hmr_light.model.integers import check_scales
from hmr_light.model.sharing import check_indices
from hmr_light.paths import atomic_write

FORMAT = 2
READABLE = (1, 2)
LAST, PREVIOUS = "last.pt", "previous.pt"
_NEEDED = {("backbone", "name"): str, ("regressor", "name"): str, ("data", "image_size"): int}
"""What commands read of a checkpoint's configuration."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and where it comes from."""

    path: Path
    config: dict[str, Any]
    """The run's whole configuration, as plain values."""
    epoch: int
    saved: str
    """When it was written, YYMMDD-HHMMSS."""
    state: State
    metrics: dict[str, float]
    transforms: tuple[Transform, ...] = ()
    """What the model's structure was changed by, in this order, after it was built from `config`."""

    @property
    def body(self) -> str | None:
        """The choice of `body=` that its shapes are of, where it says."""
        return (self.config.get("body") or {}).get("name")

    @property
    def run_dir(self) -> Path:
        """The run that it is of: its file lies in `checkpoints/` there, a `model.hmrz` in the folder itself."""
        folder = self.path.resolve().parent
        return folder if (folder / RUN_CONFIG).is_file() else folder.parent

    @property
    def kept(self) -> Path:
        """The file by which its row of the table is known: of a `model.hmrz`, the checkpoint that it was made from."""
        path = self.run_dir / "checkpoints" / f"epoch-{self.epoch:03d}.pt"
        return path if self.path.resolve().parent == self.run_dir and path.is_file() else self.path

    def build(self) -> HMR:
        """The model in evaluation mode: built, changed by the transforms, then every weight loaded."""
        # The checkpoint holds all weights: those that training started from are not wanted again.
        backbone = {**self.config["backbone"], "weights": None}
        model = build_model({"backbone": backbone, "regressor": self.config["regressor"]}).eval()
        try:
            model = apply_transforms(model, self.transforms)
        except UserError as error:
            raise UserError(f"{self.path}: {error.message}", error.remedy) from error
        load_state(model, self.state, self.path)
        try:
            check_indices(model)
            check_scales(model)
        except UserError as error:
            raise UserError(f"{self.path}: {error.message}", _DAMAGED) from error
        return model.eval()


def save_model(path: Path, model: HMR, config: dict[str, Any], epoch: int, metrics: dict[str, float]) -> Checkpoint:
    """Write `model`, with the transforms that it names, as an `epoch-NNN.pt`, and return what was written."""
    config = {**config, "backbone": complete(config["backbone"])}  # it is read without the weights it started from
    saved, changes = time.strftime("%y%m%d-%H%M%S"), check_transforms(model.transforms)
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    content = {"format": FORMAT, "config": config, "transforms": list(changes), "epoch": epoch, "saved": saved}
    save(path, content | {"metrics": metrics, "model": state})
    return Checkpoint(path, config, epoch, saved, state, metrics, changes)


def is_ours(content: Any) -> bool:
    """Whether `content`, of a file that was read, is a model or a training state that hmr_light has written."""
    return isinstance(content, dict) and "format" in content


def parse_model(content: dict[str, Any], path: Path) -> Checkpoint:
    """The model in the `content` of the file `path`, which `is_ours`. Raises `UserError` where it holds none."""
    _check_format(content, path)
    if "optimizer" in content:
        kept = sorted(path.parent.glob("epoch-*.pt"))
        raise UserError(
            f"{path} is the state of a training run, from which resume= goes on; it is not a model",
            f"The models of that run are beside it: take {kept[-1]}."
            if kept
            else "The run writes its first model, checkpoints/epoch-NNN.pt, at the end of an epoch.",
        )
    for key, kind in {"config": dict, "epoch": int, "saved": str, "model": dict, "metrics": dict}.items():
        if not isinstance(content.get(key), kind):
            raise UserError(f"{path} is not a checkpoint of hmr_light: it lacks '{key}'", _REMEDY)
    for (node, key), kind in _NEEDED.items():
        values = content["config"].get(node)
        if not isinstance(values, dict):
            raise UserError(f"{path} is not a checkpoint of hmr_light: its config lacks '{node}'", _REMEDY)
        # A bool is an int to Python.
        if not isinstance(value := values.get(key), kind) or isinstance(value, bool) or not value:
            raise UserError(f"{path} is not a checkpoint of hmr_light: its config lacks '{node}.{key}'", _REMEDY)
    if not all(isinstance(value, torch.Tensor) for value in content["model"].values()):
        raise UserError(f"{path} is not a checkpoint of hmr_light: its weights are no tensors", _REMEDY)
    try:
        changes = check_transforms(content.get("transforms", []))
    except UserError as error:
        raise UserError(f"{path} cannot be read: {error.message}", error.remedy or _REMEDY) from error
    config = with_current_names(content["config"])
    return Checkpoint(path, config, content["epoch"], content["saved"], content["model"], content["metrics"], changes)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values, atomically."""
    with atomic_write(path) as temporary:
        _write(temporary, path, content)


def save_last(folder: Path, content: dict[str, Any]) -> None:
    """Write a run's state as `folder/last.pt`; the one that was there becomes `previous.pt`.

    At every moment one of the two is whole under its name, wherever the process is killed.
    """
    last, previous = folder / LAST, folder / PREVIOUS
    with atomic_write(last) as temporary:
        _write(temporary, last, content)
        if last.is_file():
            previous.unlink(missing_ok=True)
            try:
                os.link(last, previous)
            except OSError:  # not every file system has links
                last.replace(previous)


def has_last(folder: Path) -> bool:
    """Whether `read_last` has something to read."""
    return (folder / LAST).is_file() or (folder / PREVIOUS).is_file()


def read_last(folder: Path) -> tuple[dict[str, Any], str]:
    """A run's newest state that is whole, and a warning where that is not the newest one written.

    Raises `UserError` if neither file can be read.
    """
    try:
        return read(folder / LAST), ""
    except UserError as error:
        if not (folder / PREVIOUS).is_file():
            raise
        return read(folder / PREVIOUS), f"{error.message}; going on from {PREVIOUS}, which was written before it"


def remove_damaged(folder: Path) -> None:
    """Remove the `last.pt` in whose place `read_last` gave the one before, which the next `save_last` would replace
    by the damaged one. No other may be writing there.
    """
    (folder / LAST).unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed while writing has left. No other may be writing there."""
    for path in folder.glob(".*.pt.*"):
        path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """Read what `save` wrote. No pickled code is run. Raises `UserError` for a missing, damaged or foreign file."""
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}", "Name a file in a run's checkpoints/ folder.")
    verify(path)
    content = read_torch_file(path, "a checkpoint")
    if not is_ours(content):
        raise UserError(f"{path} is not a checkpoint of hmr_light (format {FORMAT})", _REMEDY)
    _check_format(content, path)
    return content


def verify(path: Path) -> None:
    """Raise `UserError` if a record of the file was changed since it was written, or if the file was cut."""
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()
    except Exception as error:  # a damaged file makes the zip reader raise almost anything
        raise UserError(f"{path} cannot be read as a checkpoint: {error or type(error).__name__}", _DAMAGED) from error
    if damaged:
        raise UserError(f"{path} cannot be read as a checkpoint: the checksum of {damaged} is wrong", _DAMAGED)


def load_state(model: torch.nn.Module, state: State, path: Path) -> None:
    """Load weights into `model`; every one must fit. Raises `UserError` that says what does not."""
    differences = compare(model.state_dict(), state)
    if any(differences):
        raise UserError(
            f"{path} holds the weights of another model: {differences}",
            "Choose the backbone and the regressor that the checkpoint was trained with.",
        )
    model.load_state_dict(state)


def _check_format(content: dict[str, Any], path: Path) -> None:
    number = content["format"]
    if isinstance(number, int) and number > FORMAT:
        raise UserError(
            f"{path} is a checkpoint of format {number}; this version of hmr_light reads up to {FORMAT}",
            "A newer hmr_light wrote it: update this one.",
        )
    if number not in READABLE or isinstance(number, bool):
        raise UserError(f"{path} is not a checkpoint of hmr_light (format {FORMAT})", _REMEDY)


def _write(temporary: Path, path: Path, content: dict[str, Any]) -> None:
    try:
        torch.save(content, temporary)
    except RuntimeError as error:  # torch's zip writer reports a full disk so
        if is_loader_failure(error) or is_loader_failure(error.__context__):
            raise
        room = shutil.disk_usage(path.parent).free / 2**20
        raise UserError(
            f"cannot write {path}: its disk has {room:.0f} MiB left", "Free some space; the last checkpoint is intact."
        ) from error


_REMEDY = "Name an epoch-NNN.pt that hmr-light train has written."
_DAMAGED = "Name another checkpoint, or copy or train this one again: it was cut, or changed since it was written."
