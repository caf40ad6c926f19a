"""Options that name something which must be there: a run, a model, a choice of a group.

Like paths they are checked before a command runs, so that a mistyped name is told at once.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any, ClassVar

from hmr_light.config.choices import choices, suggest
from hmr_light.errors import UserError
from hmr_light.paths import is_there

_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's folder or MLflow id; whether a store has the id is not looked up here. `words` mean something else."""

    words: tuple[str, ...] = ()
    before_running: ClassVar[bool] = True

    def check(self, key: str, value: Any) -> None:
        if value not in self.words and not _RUN_ID.fullmatch(value) and not is_there(Path(value).expanduser()):
            raise UserError(f"{key}: there is no run {value}", "Name a run's folder, or its MLflow run id.")

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
