"""Options that name something which must be there: a run, a model, a choice of a group.

Like paths they are checked before a command runs, so that a mistyped name is told at once.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, ClassVar

from hmr_light.config.choices import choices, suggest
from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import checkpoint_file, is_there, zoo_names

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_HELD = ("config.yaml", "journal.jsonl", "checkpoints")
"""What every run's folder holds at least one of."""
_REMEDY = "Name a run's folder (<outputs>/<experiment>/<YYMMDD-HHMMSS>-<row>), or its MLflow run id."


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's folder or MLflow id; whether a store has the id is not looked up here. `words` mean something else."""

    words: tuple[str, ...] = ()
    before_running: ClassVar[bool] = True

    def check(self, key: str, value: Any) -> None:
        folder = Path(value).expanduser()
        if value in self.words or (_RUN_ID.fullmatch(value) and not is_there(folder)):
            return
        if not is_there(folder):
            raise UserError(f"{key}: there is no run {value}", _REMEDY)
        if not folder.is_dir():
            raise UserError(f"{key}: {value} is a file, not the folder of a run", _REMEDY)
        if not any(is_there(folder / name) for name in _HELD):
            raise UserError(f"{key}: {value} is not the folder of a run: it holds none of {', '.join(_HELD)}", _REMEDY)

    def describe(self) -> str:
        return ""


@dataclasses.dataclass(frozen=True)
class Choice:
    """A choice of a config group."""

    group: str
    before_running: ClassVar[bool] = True

    def check(self, key: str, value: Any) -> None:
        if value not in choices(self.group):
            raise UserError(f"{key}: there is no {self.group} {value}", suggest(self.group, value))

    def describe(self) -> str:
        return ""


class Trained:
    """A trained model: a checkpoint file, or the name of a model that comes with the package."""

    before_running: ClassVar[bool] = True

    def check(self, key: str, value: Any) -> None:
        if not is_there(checkpoint_file(Path(value))):
            raise UserError(
                f"{key}: there is no checkpoint at {value}",
                f"Name an epoch-NNN.pt in the folder checkpoints/ of a run, or one of: {', '.join(zoo_names())}.",
            )

    def describe(self) -> str:
        return ""


@dataclasses.dataclass(frozen=True)
class Packaged:
    """The name of a model that comes with the package, or one of `words`."""

    words: tuple[str, ...] = ()
    before_running: ClassVar[bool] = True

    def check(self, key: str, value: Any) -> None:
        names = (*zoo_names(), *self.words)
        if value not in names:
            raise UserError(f"{key}: no model of the package is called {value}", did_you_mean(value, names))

    def describe(self) -> str:
        return " | ".join((*zoo_names(), *self.words))


class Model:
    """What can be measured: a choice of backbone= or experiment=, a checkpoint file, a run's folder."""

    before_running: ClassVar[bool] = True

    def check(self, key: str, value: Any) -> None:
        experiments = choices("experiment")
        if value not in (*choices("backbone"), *experiments) and not is_there(Path(value).expanduser()):
            raise UserError(
                f"{key}: there is no backbone, experiment, checkpoint or run folder {value}",
                suggest("backbone", value, also=experiments),
            )

    def describe(self) -> str:
        return ""
