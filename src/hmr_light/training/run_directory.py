"""A run directory: `<outputs>/<experiment>/<YYMMDD-HHMMSS>-<row>/`."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmr_light.checkpoints.format import has_last
from hmr_light.config.run_config import FILE_NAME, read_run_config, write_run_config
from hmr_light.config.schema import TrainConfig
from hmr_light.config.strict import flatten, plain
from hmr_light.errors import UserError
from hmr_light.tracking.summary import summarize_run
from hmr_light.training.provenance import file_sha256

MAY_CHANGE = (
    "trainer.epochs",
    "optimizer.learning_rate",
    "trainer.device",
    "trainer.threads",
    "trainer.compile",
    "trainer.save_every",
    "trainer.log_every",
    "trainer.evaluate_every",
    "trainer.checkpoint_steps",
    "trainer.keep",
    "trainer.on_bad_sample",
    "trainer.on_bad_validation_sample",
    "trainer.max_bad_fraction",
    "data.workers",
    "tracking.uri",
    "tracking.upload_checkpoints",
)
"""Options that may change when a run is continued. What has changed is recorded."""
_PLACES = re.compile(r"data\.root|data\.(train|evaluation)\..*\.(annotations|images)|body\..*(path|regressor)")
"""Where things are that are compared by their content when they are opened: a project may be moved."""
_WEIGHTS = ("init", "backbone.weights")
"""Files that are compared by their content here."""
_TEACHER = "distillation.teacher"
"""What the run's state compares by its content."""
CLAIM_SECONDS = 10.0
"""How long the loader processes of a run that was killed may live on."""


def run_row(config: TrainConfig) -> str:
    """The run's name in the table."""
    return config.row or str(config.backbone["name"])


@dataclass(frozen=True)
class Found:
    """A run that `resume=` names."""

    run_dir: Path
    finished: bool
    """Whether all of its epochs are done, also with today's `trainer.epochs`."""
    changed: dict[str, Any]
    """The options that have another value now, by name."""

    @property
    def checkpoints(self) -> Path:
        return self.run_dir / "checkpoints"

    @property
    def has_state(self) -> bool:
        """Whether there is a saved state to go on from."""
        return has_last(self.checkpoints)


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
    write_run_config(run_dir, plain_config)
    return run_dir


def find(config: TrainConfig) -> Found | None:
    """The run that `resume=` names; None for a new run, and for `auto` when no run has this configuration.

    `auto` prefers a run that is unfinished, then the newest. Raises `UserError` if the run that is named was made with
    another configuration.
    """
    if config.resume is None:
        return None
    now = flatten(plain(config))
    if config.resume != "auto":
        run_dir = Path(config.resume).expanduser().absolute()
        if not (run_dir / FILE_NAME).is_file():
            raise UserError(
                f"resume={config.resume}: there is no run to continue, for there is no {FILE_NAME}",
                "Name a run directory, or resume=auto for the newest unfinished run of this row.",
            )
        changed = _changed(run_dir, now)
        if changed is None:
            raise UserError(f"resume={config.resume}: its {FILE_NAME} is damaged", "Start a new run without resume=.")
        if refused := [
            f"{key} was {old}, is {new}"
            for key, (old, new) in changed.items()
            if not _may_change(run_dir, key, old, new)
        ]:
            raise UserError(
                f"resume={config.resume}: that run was made with another configuration: {'; '.join(refused[:5])}",
                f"Start a new run without resume=. What may change: {', '.join(MAY_CHANGE)}.",
            )
        return _found(run_dir, config, changed)
    parent = Path(config.outputs) / file_name(config.tracking.experiment)
    runs = []
    for run_dir in sorted(parent.glob(f"*-{file_name(run_row(config))}"), reverse=True):
        changed = _changed(run_dir, now)
        if changed is not None and all(_may_change(run_dir, key, *both, auto=True) for key, both in changed.items()):
            runs.append(_found(run_dir, config, changed))
    return min(runs, key=lambda one: one.finished, default=None)


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


def _found(run_dir: Path, config: TrainConfig, changed: dict[str, tuple[Any, Any]]) -> Found:
    summary = summarize_run(run_dir)
    finished = summary.finished and max(summary.epochs, default=0) >= config.trainer.epochs
    return Found(run_dir, finished, {key: new for key, (_, new) in changed.items()})


def _may_change(run_dir: Path, key: str, old: Any, new: Any, *, auto: bool = False) -> bool:
    """Whether a run may go on with `new` instead of `old`. `auto` takes data at a new place for other data, unless they
    have left the old one."""
    if key in MAY_CHANGE or key in ("outputs", "tracking.name"):
        return True
    if old is None or new is None:
        return False
    if key == _TEACHER:
        return not auto
    if _PLACES.fullmatch(key):
        return not (auto and Path(old).exists())
    return key in _WEIGHTS and summarize_run(run_dir).params.get(f"{key}.sha256", "") == file_sha256(new)


def _lock(handle: int) -> bool:
    """Whether this process has the lock now, or there are no locks here: some network disks have none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _changed(run_dir: Path, now: dict[str, Any]) -> dict[str, tuple[Any, Any]] | None:
    """What each option that differs was and is; None if the run's configuration cannot be read."""
    try:
        before = flatten(read_run_config(run_dir))
    except Exception:  # a damaged file makes the reader raise almost anything
        return None
    keys = (before.keys() | now.keys()) - {"resume"}
    return {key: (before.get(key), now.get(key)) for key in sorted(keys) if before.get(key) != now.get(key)}
