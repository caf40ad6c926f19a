"""A run's folder: `<outputs>/<experiment>/<YYMMDD-HHMMSS>-<row>/`."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from hmr_light.config.schema import TrainConfig
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write
from hmr_light.tracking.summary import summarize_run

# What may differ between a run and its continuation: where it runs and how long, not what it computes.
FREE_TO_CHANGE = {
    "resume",
    "outputs",
    "tracking",
    "data.workers",
    "trainer.epochs",
    "trainer.device",
    "trainer.threads",
    "trainer.compile",
    "trainer.save_every",
    "trainer.checkpoint_steps",
    "trainer.keep",
    "trainer.on_bad_sample",
    "trainer.on_bad_validation_sample",
    "trainer.max_bad_fraction",
}
CLAIM_SECONDS = 10.0
"""How long the loader processes of a run that was killed may live on."""


def row_name(config: TrainConfig) -> str:
    """The run's name in the table."""
    return config.row or str(config.backbone["name"])


def open_folder(config: TrainConfig, plain_config: dict[str, Any]) -> tuple[Path, bool]:
    """The run's folder, and whether it continues one."""
    found = find(config, plain_config) if config.resume else None
    return (found, True) if found else (create(config, plain_config), False)


def create(config: TrainConfig, plain_config: dict[str, Any]) -> Path:
    """A new folder with the run's `config.yaml`, named by the time; two runs never share one."""
    parent = Path(config.outputs) / file_name(config.tracking.experiment)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            folder = parent / f"{time.strftime('%y%m%d-%H%M%S')}-{file_name(row_name(config))}"
            try:
                folder.mkdir()
                break
            except FileExistsError:
                time.sleep(0.2)  # another run of the same row began within this second
    except OSError as error:
        raise UserError(
            f"cannot make a run folder in {parent}: {error.strerror or error}",
            "Choose a folder that you can write to: outputs=…",
        ) from error
    with atomic_write(folder / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(plain_config)))
    return folder


def find(config: TrainConfig, plain_config: dict[str, Any]) -> Path | None:
    """The folder that `resume=` means; None for `auto` when there is nothing to continue.

    Raises `UserError` if that run was made with another configuration.
    """
    if config.resume != "auto":
        folder = Path(str(config.resume)).expanduser()
        if not (folder / "config.yaml").is_file():
            raise UserError(
                f"resume={folder}: there is no run to continue, for there is no config.yaml",
                "Name a run's folder, or resume=auto for the newest unfinished run of this row.",
            )
        if differing := _differences(folder, plain_config):
            raise UserError(
                f"resume={folder}: that run was made with another configuration: {'; '.join(differing[:5])}",
                "Give the same options as then, or start a new run without resume=.",
            )
        return folder
    parent = Path(config.outputs) / file_name(config.tracking.experiment)
    for folder in sorted(parent.glob(f"*-{file_name(row_name(config))}"), reverse=True):
        if not _differences(folder, plain_config) and _is_unfinished(folder, config.trainer.epochs):
            return folder
    return None


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Hold a run's folder against other training processes. Raises `UserError` if one has it and keeps it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        deadline = time.monotonic() + CLAIM_SECONDS
        while not _lock(handle):
            if time.monotonic() > deadline:
                raise UserError(
                    f"{folder} is being trained by another process",
                    "Wait for it or stop it; without resume= a new run begins.",
                )
            time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def file_name(text: str) -> str:
    """`text` as a file name: letters, digits, '.', '_', '-' and brackets stay, anything else becomes '_'.

    It is cut where, with the time before it, it could pass the 255 bytes of a file's name.
    """
    return re.sub(r"[^\w.()-]|^\.", "_", text)[:60]


def _is_unfinished(folder: Path, epochs: int) -> bool:
    said = summarize_run(folder)
    return not said.finished or max(said.epochs, default=0) < epochs


def _lock(handle: int) -> bool:
    """Whether nobody else has the lock, or there are no locks here: some network disks have none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _differences(folder: Path, plain_config: dict[str, Any]) -> list[str]:
    try:
        before = flatten(OmegaConf.to_container(OmegaConf.load(folder / "config.yaml")))
    except Exception:  # a damaged file makes the reader raise almost anything
        return ["its config.yaml is missing or damaged"]
    now = flatten(plain_config)
    return [
        f"{key} was {before.get(key)}, is {now.get(key)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not any(key == k or key.startswith(k + ".") for k in FREE_TO_CHANGE)
    ]


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined with dots; empty mappings and lists stay as values."""
    if not isinstance(node, dict) or not node:
        return {prefix.removesuffix("."): node}
    flat: dict[str, Any] = {}
    for name, child in node.items():
        flat |= flatten(child, f"{prefix}{name}.")
    return flat
