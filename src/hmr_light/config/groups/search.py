"""The options of `hmr-light search`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from omegaconf import MISSING

from hmr_light.config.groups.body import BodyConfig
from hmr_light.config.groups.data import DataConfig
from hmr_light.config.groups.optimizer import OptimizerConfig
from hmr_light.config.groups.tracking import TrackingConfig
from hmr_light.config.groups.trainer import TrainerConfig
from hmr_light.config.limits import OneOf, Range
from hmr_light.errors import UserError

ObjectiveName = Annotated[str, OneOf("error", "macs", "parameters", "latency")]
STORAGES = ("journal", "sqlite")


@dataclass
class BudgetConfig:
    """What no network may cost more than. A network over it is never trained."""

    macs: Annotated[float | None, Range(0, above=True)] = None
    """Multiply-accumulates of the whole model on one image; null: the space's own limit, if it has one."""
    parameters: Annotated[float | None, Range(0, above=True)] = None
    """Parameters of the trunk and the folded regressor; null: the space's own limit, if it has one."""
    latency: Annotated[float | None, Range(0, above=True)] = None
    """Time of one image on one thread of this machine's CPU, as a ratio to the yardstick network's; null: the space's
    own limit, if it has one."""

    def limits(self) -> dict[str, float]:
        """Those that are given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass
class StoppingConfig:
    """When a trial ends before its last epoch."""

    share: Annotated[float, Range(0, 1, below=True)] = MISSING
    """A trial ends after an epoch at which its error is among this share of the worst, of the trials that have been
    there; 0: every trial is trained to its end."""
    after: Annotated[int, Range(2, 10**6)] = MISSING
    """So many trials must have an error at that epoch first, this one included."""


@dataclass
class SupernetConfig:
    """How the networks of a supernet are trained and measured."""

    images: Annotated[int, Range(64, 10**6)] = MISSING
    """On so many images of the training set the statistics of each network's batch norms are measured."""
    widening: Annotated[float, Range(0, 1)] = MISSING
    """Training begins with one network, that of the middle values, and in this share of it widens to all of them."""
    study: str | None = None
    """Take the supernet of this study of the same space, which has been trained; null: train one."""


@dataclass
class SearchConfig:
    """`hmr-light search`."""

    search_space: dict[str, Any] = MISSING
    method: Annotated[str, OneOf("trials", "supernet")] = MISSING
    """trials: networks are trained one by one, each as an ordinary run. supernet: all are trained together, with shared
    weights; then each is measured with its share of them."""
    supernet: SupernetConfig = MISSING
    sampler: Annotated[str, OneOf("tpe", "nsga2", "random")] = MISSING
    """How the next network is chosen. tpe: by models of good and of other choices. nsga2: an evolution of 20 networks a
    generation. random: the baseline to beat."""
    networks: str | None = None
    """Take the networks of this study of the same space, in their order, instead of new ones: to train them with
    another seed or for longer, or to measure them by a supernet. NAME:front takes those of its front alone. The ranks
    of the errors there and here are compared. null: `sampler` draws networks."""
    objectives: list[ObjectiveName] = field(default_factory=list)
    """What is made small. error: that of the run's best checkpoint on the first evaluation set. macs, parameters,
    latency: as in `budget`."""
    budget: BudgetConfig = MISSING
    trials: Annotated[int, Range(0, 10**6)] = MISSING
    """How many networks the study trains or, with a supernet, measures, those of all workers together; a larger number
    later goes on. 0: say what the space is, and what the study has found so far."""
    stopping: StoppingConfig = MISSING
    study: str | None = None
    """The study's name: any number of workers with the same name and options work on one study. null: the space and the
    sampler, as in shufflenet-tpe or shufflenet-supernet-tpe."""
    storage: str = MISSING
    """Where the study is kept. journal: a file in the study's folder. sqlite: a database there. Or the address of a
    PostgreSQL database, for workers on several machines: postgresql://user@host/name."""
    body: BodyConfig = MISSING
    data: DataConfig = MISSING
    """What trials are trained and evaluated on; the image size is the space's."""
    protocol: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    objective: Annotated[str, OneOf("supervised", "distillation")] = "supervised"
    """What trials learn. supervised: labels, by `loss`. distillation: what another model predicts."""
    distillation: dict[str, Any] = field(default_factory=dict)
    """What is learned of another model, by objective=distillation."""
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = MISSING
    """How long and how each trial, or the supernet, is trained."""
    tracking: TrackingConfig = MISSING
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """Of the choice of networks, and of the training of every trial or of the supernet."""
    outputs: Path = MISSING
    """Trials are written to <outputs>/<tracking.experiment>/, the study to <outputs>/studies/<study>/."""

    def __post_init__(self) -> None:
        if "error" not in self.objectives or len(set(self.objectives)) < len(self.objectives):
            raise UserError(
                f"objectives={','.join(self.objectives)} is not allowed",
                "Name error, and any of macs, parameters and latency, each once: objectives=[error,macs]",
            )
        if self.networks is not None and self.study is None:
            raise UserError("networks= needs a name for the new study", "Give one: study=NAME")
        if self.supernet.study is not None and self.method != "supernet":
            raise UserError(
                f"supernet.study={self.supernet.study} is not read by method={self.method}",
                "Add method=supernet, or leave it out.",
            )
        if self.storage not in STORAGES and not self.storage.startswith(("postgresql://", "postgresql+")):
            raise UserError(
                f"storage={self.storage.partition(':')[0]} is not a choice",
                "Give journal, sqlite, or the address of a database: postgresql://user@host/name",
            )

    def unread(self) -> tuple[str, ...]:
        """Without trials no data are needed."""
        return () if self.trials else ("data.",)

    @property
    def study_name(self) -> str:
        """The study's name."""
        method = "" if self.method == "trials" else f"{self.method}-"
        return self.study or f"{self.search_space['name']}-{method}{self.sampler}"
