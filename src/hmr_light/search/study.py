"""A study: its trials in an Optuna storage, and the rules by which workers take, lose and finish them.

A trial is written whole, with its network and its worker, by one operation: it exists or it does not. While it is
trained its worker holds a lock of its own (see `locks`). A trial whose worker is gone is taken over as it is, by
whoever finds it first: the same number, network, seed and run. Only its present worker may finish it. So no trial is
lost, counted twice or left running for ever, wherever a worker is killed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from hmr_light.config.schema import SearchConfig
from hmr_light.config.strict import flatten, plain
from hmr_light.errors import UserError
from hmr_light.search.journal_file import JournalFile
from hmr_light.search.locks import FileLocks, Locks, PostgresLocks
from hmr_light.search.sampling import Drawn
from hmr_light.training.run_directory import file_name

WORKER, KEY, NODES, COSTS = "worker", "network", "nodes", "costs"
RUN, ERRORS, CONSTANT = "run", "errors", "constant"
"""What a trial's user attributes are called."""
MAY_CHANGE = (
    *("trials", "study", "storage", "outputs", "data.workers", "data.root"),
    *(f"trainer.{name}" for name in ("device", "threads", "compile", "log_every", "checkpoint_steps", "keep")),
    *(f"tracking.{name}" for name in ("name", "uri", "experiment", "upload_checkpoints")),
)
"""Options that may differ between the commands of one study."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial as its study has it."""

    number: int
    attributes: Mapping[str, Any]
    state: TrialState
    values: Sequence[float] | None
    frozen: FrozenTrial

    @property
    def nodes(self) -> dict[str, Any]:
        """Its network: `backbone`, `regressor` and `image_size`."""
        nodes: dict[str, Any] = json.loads(self.attributes[NODES])
        return nodes

    @property
    def costs(self) -> dict[str, float]:
        """What its network costs."""
        return dict(self.attributes[COSTS])

    @property
    def is_constant(self) -> bool:
        """Whether its network was seen to predict nearly the same for every image."""
        return bool(self.attributes.get(CONSTANT, False))

    @property
    def errors(self) -> dict[int, float]:
        """Its errors by epoch, as far as it was trained."""
        return {int(epoch): float(error) for epoch, error in self.attributes.get(ERRORS, {}).items()}


class Study:
    """One study, as one worker sees it."""

    def __init__(self, config: SearchConfig, folder: Path) -> None:
        """Open the study that `config` names, whose folder is `folder`, or begin it.

        Raises `UserError` for a study that was begun with other options, and a storage that cannot be used.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.name, self.config, self.folder = config.study_name, config, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.storage, self.locks = open_storage(config, config.study_name, folder)
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        with self.locks.alone():
            self._id = self._find_or_create()

    def _find_or_create(self) -> int:
        options = _options(self.config)
        try:
            found = self.storage.get_study_id_from_name(self.name)
        except KeyError:
            found = self.storage.create_new_study([StudyDirection.MINIMIZE] * len(self.config.objectives), self.name)
        known = self.storage.get_study_user_attrs(found)
        if "options" not in known:  # new, or its creator was killed here
            self.storage.set_study_user_attr(found, "id", uuid.uuid4().hex)
            self.storage.set_study_user_attr(found, "options", json.dumps(options))
            return found
        before = json.loads(known["options"])
        # Those of the other method do nothing.
        unused = "supernet." if self.config.method == "trials" else "stopping."
        changed = [
            f"{key} was {before.get(key)}, is {options.get(key)}"
            for key in sorted(before.keys() | options.keys())
            if before.get(key) != options.get(key) and not key.startswith(unused)
        ]
        if changed:
            raise UserError(
                f"study={self.name} was begun with other options: {'; '.join(changed[:5])}",
                "Give those, or another name for another study: study=NAME",
            )
        return found

    @property
    def identity(self) -> str:
        """What tells this study from one of the same name that was begun another time."""
        return str(self.attribute("id"))

    def attribute(self, name: str) -> Any:
        """A value that was kept with the study; None if there is none."""
        return self.storage.get_study_user_attrs(self._id).get(name)

    def keep(self, name: str, value: Any) -> None:
        """Keep a value with the study."""
        self.storage.set_study_user_attr(self._id, name, value)

    def begin(self) -> None:
        """Become a worker."""
        self.locks.hold(self.worker)

    def trials(self) -> list[Trial]:
        """All trials, in the order of their numbers."""
        return trials_of(self.storage, self.name)

    def take(self, draw: Callable[[Sequence[Trial]], Drawn | None]) -> Trial | None:
        """A trial to train, which is this worker's then: one whose worker is gone, or a new one that `draw` makes.

        None where there is nothing to take at present: see `is_done` and `is_exhausted`.
        """
        with self.locks.alone():
            trials = self.trials()
            for one in trials:
                if one.state == TrialState.RUNNING and not self._is_alive(str(one.attributes[WORKER])):
                    self.storage.set_trial_user_attr(one.frozen._trial_id, WORKER, self.worker)
                    return self._trial(one.frozen._trial_id)
            if len(trials) >= self.config.trials or self.is_exhausted or (drawn := draw(trials)) is None:
                if len(trials) < self.config.trials and not self.is_exhausted:
                    self.keep("exhausted", True)
                return None
            template = optuna.trial.create_trial(
                state=TrialState.RUNNING,
                params=drawn.trial.params,
                distributions=drawn.trial.distributions,
                system_attrs=drawn.trial.system_attrs,
                user_attrs={
                    WORKER: self.worker,
                    KEY: drawn.genotype.key,
                    NODES: json.dumps(drawn.genotype.nodes()),
                    COSTS: drawn.costs,
                },
            )
            template.datetime_start = datetime.now()
            return self._trial(self.storage.create_new_trial(self._id, template))

    def _is_alive(self, worker: str) -> bool:
        return worker == self.worker or self.locks.is_held(worker)

    def note(self, trial: Trial, name: str, value: Any) -> None:
        """Keep a value with a trial of this worker. Raises `Lost` if it is another's now."""
        with self.locks.alone():
            self._check(trial)
            self.storage.set_trial_user_attr(trial.frozen._trial_id, name, value)

    def finish(self, trial: Trial, state: TrialState, values: Sequence[float] | None, **attributes: Any) -> None:
        """End a trial of this worker. Raises `Lost` if it is another's now, or has ended."""
        with self.locks.alone():
            self._check(trial)
            for name, value in attributes.items():
                self.storage.set_trial_user_attr(trial.frozen._trial_id, name, value)
            self.storage.set_trial_state_values(trial.frozen._trial_id, state, values)

    def _check(self, trial: Trial) -> None:
        now = self._trial(trial.frozen._trial_id)
        if now.state != TrialState.RUNNING or now.attributes[WORKER] != self.worker:
            raise Lost

    def _trial(self, trial_id: int) -> Trial:
        return _as_trial(self.storage.get_trial(trial_id))

    @property
    def is_done(self) -> bool:
        """Whether all trials that were asked for have ended."""
        trials = self.trials()
        complete = len(trials) >= self.config.trials or self.is_exhausted
        return complete and all(one.state.is_finished() for one in trials)

    @property
    def is_exhausted(self) -> bool:
        """Whether no other network within the budget could be found."""
        return bool(self.attribute("exhausted"))


class Lost(Exception):
    """The trial is another worker's: this process was taken for dead, as after the loss of a connection."""


def as_optuna(study: Study) -> optuna.Study:
    """The study as Optuna's tools take it."""
    return optuna.load_study(study_name=study.name, storage=study.storage)


def study_folder(config: SearchConfig, name: str) -> Path:
    """Where the study called `name` is kept. Raises `UserError` for a name that two studies' folders could have."""
    if file_name(name) != name:
        raise UserError(
            f"study={name} cannot be the name of a folder",
            "Give a name of at most 60 letters, digits, '_', '-' and '.': study=NAME",
        )
    return Path(config.outputs) / "studies" / name


def trials_of(storage: optuna.storages.BaseStorage, name: str) -> list[Trial]:
    """All trials of the study called `name`, in the order of their numbers. Raises `KeyError` if there is none."""
    found = storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)
    return [_as_trial(one) for one in found]


def _as_trial(one: FrozenTrial) -> Trial:
    return Trial(one.number, one.user_attrs, one.state, one.values, one)


def open_storage(config: SearchConfig, study: str, folder: Path) -> tuple[optuna.storages.BaseStorage, Locks]:
    """What `config.storage` names, of the study called `study`. Raises `UserError` if it cannot be used."""
    if config.storage == "journal":
        return optuna.storages.JournalStorage(JournalFile(folder / "study.jsonl")), FileLocks(folder)
    if config.storage == "sqlite":
        locks = FileLocks(folder)
        with locks.alone():  # two processes that make its tables at once would be in each other's way
            return optuna.storages.RDBStorage(f"sqlite:///{folder / 'study.db'}"), locks
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise UserError(
            "storage=postgresql://… needs the package psycopg", "Install it: pip install 'hmr-light[postgres]'"
        ) from error
    url = "postgresql+psycopg://" + config.storage.partition("://")[2]
    try:
        storage = optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except Exception as error:  # whatever SQLAlchemy and the driver raise for an address that is wrong
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        password = url.partition("://")[2].partition("@")[0].partition(":")[2]
        shown = reason.replace(password, "***") if password else reason
        raise UserError(f"storage=postgresql://…: {shown}", "Correct the address, or start the server.") from error
    return storage, PostgresLocks(storage.engine, study)


def _options(config: SearchConfig) -> dict[str, Any]:
    """The options that all commands of a study share, by name."""
    return {key: value for key, value in flatten(plain(config)).items() if key not in MAY_CHANGE}
