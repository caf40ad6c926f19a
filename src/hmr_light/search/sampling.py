"""Which network comes next: drawn by an Optuna sampler from what is known, within the budget, and never one twice."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from hmr_light.search.genotype import Genotype
from hmr_light.search.parts import cost_of
from hmr_light.search.space import Space, fits

Costs = dict[str, float]
"""What a network costs, by `macs`, `parameters` and, where it is wanted, `latency`."""

POPULATION = 20
"""Networks in a generation of nsga2."""
DRAWS, MORE_DRAWS = 30, 20_000
"""How often the sampler may draw a network that is not allowed; then how often draws at random may."""


@dataclass(frozen=True)
class Drawn:
    """A network that is to be trained."""

    genotype: Genotype
    costs: Costs
    trial: FrozenTrial
    """What the sampler made: the values of the parameters, and what it remembers of them."""


class Judge:
    """Says what a network costs, and whether it may be trained."""

    def __init__(self, budget: Mapping[str, float], latency: Callable[[Genotype], float] | None) -> None:
        """`budget` holds the most of each cost; `latency` measures a network, where a study wants that."""
        self.budget = budget
        self._latency = latency

    def excess(self, genotype: Genotype) -> float:
        """How far the network is over the limits of parameters and MACs: its greatest ratio to one of them; 0: none."""
        costs = cost_of(genotype)._asdict()
        return max((costs[name] / most for name, most in self.budget.items() if name in costs), default=0.0)

    def costs(self, genotype: Genotype) -> Costs | None:
        """What a network costs that can be built; None if it is over the budget."""
        if self.excess(genotype) > 1:
            return None
        costs: Costs = {name: float(value) for name, value in cost_of(genotype)._asdict().items()}
        if self._latency is not None:
            costs["latency"] = self._latency(genotype)
            if costs["latency"] > self.budget.get("latency", float("inf")):
                return None
        return costs


def distributions_of(space: Space) -> dict[str, CategoricalDistribution]:
    """The parameters of a space as Optuna has them."""
    return {name: CategoricalDistribution(values) for name, values in space.parameters.items()}


def draw(
    space: Space,
    judge: Judge,
    past: Sequence[FrozenTrial],
    known: set[str],
    *,
    sampler: str,
    objectives: int,
    seed: int,
) -> Drawn | None:
    """The next network, a function of the arguments alone; None if no other can be found.

    `past` are the trials so far, in their order, and `known` the keys of their networks.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = int(np.random.SeedSequence((seed, len(past))).generate_state(1)[0])
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=_sampler(sampler, number))
    study.add_trials(past)
    distributions = distributions_of(space)

    def judged(values: Mapping[str, Any]) -> tuple[Genotype, Costs] | None:
        genotype = space.decode(values)
        if genotype.key in known or not fits(genotype) or (costs := judge.costs(genotype)) is None:
            return None
        return genotype, costs

    for _ in range(DRAWS):
        trial = study.ask(dict(distributions))
        if found := judged(trial.params):
            frozen = study.get_trials(deepcopy=False)[trial.number]
            return Drawn(*found, frozen)
        study.tell(trial, state=TrialState.FAIL)
    chance = random.Random(number)
    for _ in range(MORE_DRAWS):
        values = {name: chance.choice(choices) for name, choices in space.parameters.items()}
        if found := judged(values):
            frozen = optuna.trial.create_trial(
                state=TrialState.RUNNING, params=values, distributions=dict(distributions)
            )
            return Drawn(*found, frozen)
    return None


def find_within(space: Space, judge: Judge, seed: int, samples: int = 200) -> tuple[Genotype, float]:
    """A network that can be built and is within the limits of parameters and MACs, or the nearest one that was found.

    With it comes its excess (see `Judge.excess`). Draws at random, then changes one choice of the best draw after the
    other as long as that helps.
    """
    chance = random.Random(seed)
    best: tuple[float, dict[str, Any]] | None = None
    for _ in range(100 * samples):
        values = {name: chance.choice(choices) for name, choices in space.parameters.items()}
        if fits(genotype := space.decode(values)):
            excess = judge.excess(genotype)
            if excess <= 1:
                return genotype, excess
            if best is None or excess < best[0]:
                best = excess, values
            samples -= 1
        if samples <= 0:
            break
    assert best is not None, "a space whose every choice is in a network has networks"
    improved = True
    while improved and best[0] > 1:
        improved = False
        for name, choices in space.parameters.items():
            for choice in choices:
                values = best[1] | {name: choice}
                if fits(genotype := space.decode(values)) and (excess := judge.excess(genotype)) < best[0]:
                    best, improved = (excess, values), True
    return space.decode(best[1]), best[0]


def _sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    if name == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
    return optuna.samplers.RandomSampler(seed=seed)
