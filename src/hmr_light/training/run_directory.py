"""A run directory: `<outputs>/<experiment>/<YYMMDD-HHMMSS>-<row>/`."""

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
from hmr_light.config.strict import flatten
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


def run_row(config: TrainConfig) -> str:
    """The run's name in the table."""
    return config.row or str(config.backbone["name"])


def open_run_dir(config: TrainConfig, plain_config: dict[str, Any]) -> tuple[Path, bool]:
    """The run directory, and whether it continues one."""
    found = find(config, plain_config) if config.resume else None
    return (found, True) if found else (create(config, plain_config), False)


def create(config: TrainConfig, plain_config: dict[str, Any]) -> Path:
    """A new directory with the run's `config.yaml`, named by the time; two runs never share one."""
    parent = Path(config.outputs) / file_name(config.tracking.experiment)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            run_dir = parent / f"{time.strftime('%y%m%d-%H%M%S')}-{file_name(run_row(config))}"
            try:
                run_dir.mkdir()
                break
            except FileExistsError:
                time.sleep(0.2)  # another run of the same row began within this second
    except OSError as error:
        raise UserError(
            f"cannot make a run directory in {parent}: {error.strerror or error}",
            "Choose a folder that you can write to: outputs=…",
        ) from error
    with atomic_write(run_dir / "config.yaml") as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(plain_config)))
    return run_dir


def find(config: TrainConfig, plain_config: dict[str, Any]) -> Path | None:
    """The run directory that `resume=` means; None for `auto` when there is nothing to continue.

    Raises `UserError` if that run was made with another configuration.
    """
    if config.resume != "auto":
        run_dir = Path(str(config.resume)).expanduser()
        if not (run_dir / "config.yaml").is_file():
            raise UserError(
                f"resume={run_dir}: there is no run to continue, for there is no config.yaml",
                "Name a run directory, or resume=auto for the newest unfinished run of this row.",
            )
        if differing := _differences(run_dir, plain_config):
            raise UserError(
                f"resume={run_dir}: that run was made with another configuration: {'; '.join(differing[:5])}",
                "Give the same options as then, or start a new run without resume=.",
            )
        return run_dir
    parent = Path(config.outputs) / file_name(config.tracking.experiment)
    for run_dir in sorted(parent.glob(f"*-{file_name(run_row(config))}"), reverse=True):
        if not _differences(run_dir, plain_config) and _is_unfinished(run_dir, config.trainer.epochs):
            return run_dir
    return None


@contextmanager
def claim(run_dir: Path) -> Iterator[None]:
    """Hold a run directory against other training processes. Raises `UserError` if one has it and keeps it."""
    handle = os.open(run_dir, os.O_RDONLY)
    try:
        deadline = time.monotonic() + CLAIM_SECONDS
        while not _lock(handle):
            if time.monotonic() > deadline:
                raise UserError(
                    f"{run_dir} is being trained by another process",
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


def _is_unfinished(run_dir: Path, epochs: int) -> bool:
    summary = summarize_run(run_dir)
    return not summary.finished or max(summary.epochs, default=0) < epochs


def _lock(handle: int) -> bool:
    """Whether nobody else has the lock, or there are no locks here: some network disks have none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _differences(run_dir: Path, plain_config: dict[str, Any]) -> list[str]:
    try:
        before = flatten(OmegaConf.to_container(OmegaConf.load(run_dir / "config.yaml")))
    except Exception:  # a damaged file makes the reader raise almost anything
        return ["its config.yaml is missing or damaged"]
    now = flatten(plain_config)
    return [
        f"{key} was {before.get(key)}, is {now.get(key)}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not any(key == k or key.startswith(k + ".") for k in FREE_TO_CHANGE)
    ]
