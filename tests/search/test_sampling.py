"""Draws: the same from the same past, within the budget, and a budget that nothing meets is found out."""

from __future__ import annotations

import itertools
import random

import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from support.spaces import SMALL

from hmr_light.search.parts import cost_of
from hmr_light.search.reading import read_space
from hmr_light.search.sampling import Judge, draw, find_within
from hmr_light.search.space import fits

SPACE = read_space(SMALL)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_a_study_repeats_and_stays_within_its_budget(sampler: str) -> None:
    seed, macs = random.randrange(2**32), 8e5

    def study() -> list[str]:
        past: list[FrozenTrial] = []
        keys: list[str] = []
        for number in range(13 if sampler == "tpe" else 26):
            drawn = draw(SPACE, Judge({"macs": macs}, None), past, set(keys), sampler=sampler, objectives=2, seed=seed)
            assert drawn is not None
            assert drawn.costs["macs"] == cost_of(drawn.genotype).macs <= macs
            keys.append(drawn.genotype.key)
            past.append(
                create_trial(
                    state=TrialState.COMPLETE if number % 7 else TrialState.PRUNED,
                    params=drawn.trial.params,
                    distributions=drawn.trial.distributions,
                    system_attrs=drawn.trial.system_attrs,
                    values=[drawn.costs["macs"] % 97, drawn.costs["macs"]] if number % 7 else None,
                )
            )
        return keys

    keys = study()
    assert len(set(keys)) == len(keys)
    assert study() == keys


def test_a_budget_that_nothing_meets_is_told_from_one_that_something_meets() -> None:
    names, values = list(SPACE.parameters), SPACE.parameters.values()
    networks = (SPACE.decode(dict(zip(names, one, strict=True))) for one in itertools.product(*values))
    least = min(cost_of(one).parameters for one in networks if fits(one))
    found, excess = find_within(SPACE, Judge({"parameters": float(least)}, None), random.randrange(1000))
    assert excess == 1
    assert cost_of(found).parameters == least
    assert find_within(SPACE, Judge({"parameters": least - 0.5}, None), random.randrange(1000))[1] > 1
