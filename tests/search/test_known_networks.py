"""Networks of another study are taken as they are, and the ranks of the errors compared."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.trial import TrialState
from scipy.stats import rankdata
from support.cli import compose
from support.spaces import SMALL

from hmr_light.errors import UserError
from hmr_light.search.known_networks import known_networks, rank_correlation
from hmr_light.search.reading import read_space
from hmr_light.search.sampling import Drawn, Judge, draw
from hmr_light.search.study import Study, Trial, study_folder
from hmr_light.search.trials import work

SPACE = read_space(SMALL)
JUDGE = Judge({}, None)


def config(home: Path, *more: str) -> Any:
    one = compose("search", "tracking=journal", f"outputs={home}", "sampler=random", *more)
    one.search_space = SMALL
    return one


def begun(home: Path, errors: Sequence[float]) -> Study:
    """A study with networks of these errors, and one that has diverged."""
    one = config(home, "study=first", f"trials={len(errors) + 1}", "objectives=[macs,error]")
    study = Study(one, study_folder(one, "first"))
    study.begin()

    def draw_next(trials: Sequence[Trial]) -> Drawn | None:
        known = {one.attributes["network"] for one in trials}
        return draw(SPACE, JUDGE, [one.frozen for one in trials], known, sampler="random", objectives=2, seed=1)

    for error in errors:
        trial = study.take(draw_next)
        assert trial is not None
        study.finish(trial, TrialState.COMPLETE, [trial.costs["macs"], error])
    last = study.take(draw_next)
    assert last is not None
    study.finish(last, TrialState.FAIL, None, reason="diverged")
    return study


def test_networks_come_in_their_order_once_each_and_within_the_budget(home: Path) -> None:
    errors = [random.uniform(100, 300) for _ in range(6)]
    study = begun(home, errors)
    networks = known_networks(config(home, "study=second", "networks=first"), SPACE)
    wanted = [one.attributes["network"] for one in study.trials()[:6]]
    assert list(networks.errors()) == wanted
    assert list(networks.errors().values()) == errors
    taken: list[str] = []
    while (drawn := networks.next(set(taken), JUDGE)) is not None:
        assert drawn.trial.params == study.trials()[len(taken)].frozen.params
        assert drawn.costs["macs"] == study.trials()[len(taken)].costs["macs"]
        taken.append(drawn.genotype.key)
    assert taken == wanted
    most = sorted(one.costs["macs"] for one in study.trials()[:6])[2]
    within = networks.next(set(), Judge({"macs": most}, None))
    assert within is not None
    assert within.costs["macs"] <= most


def test_the_front_is_taken_alone(home: Path) -> None:
    study = begun(home, [random.uniform(100, 300) for _ in range(8)])
    done = study.trials()[:8]
    best = {
        str(one.attributes["network"])
        for one in done
        if not any(
            other.values[0] <= one.values[0] and other.values[1] <= one.values[1] and other.values != one.values
            for other in done
            if other.values and one.values
        )
    }
    networks = known_networks(config(home, "study=second", "networks=first:front"), SPACE)
    assert set(networks.errors()) == best


def test_a_study_goes_on_where_the_other_has_more_networks_by_now(home: Path) -> None:
    begun(home, [random.uniform(100, 300) for _ in range(4)])
    one = config(home, "study=second", "networks=first")
    networks = known_networks(one, SPACE)
    study = Study(one, study_folder(one, "second"))
    study.begin()

    def measure(study: Study, trial: Trial) -> None:
        study.finish(trial, TrialState.COMPLETE, [random.random(), trial.costs["macs"]])

    for known, done in ((networks.trials[:2], 2), (networks.trials, 4), (networks.trials, 4)):
        work(study, SPACE, JUDGE, measure, lambda text: None, replace(networks, trials=known))
        assert len(study.trials()) == done
        assert study.is_done


def test_what_is_not_there_is_told(home: Path) -> None:
    begun(home, [100.0])
    with pytest.raises(UserError, match="networks=nowhere: there is no study in"):
        known_networks(config(home, "study=second", "networks=nowhere"), SPACE)
    with pytest.raises(UserError, match="networks=first:best is not a choice"):
        known_networks(config(home, "study=second", "networks=first:best"), SPACE)
    other = replace(SPACE, image_sizes=(64, 96))
    with pytest.raises(UserError, match="not of search_space=small as it is now"):
        known_networks(config(home, "study=second", "networks=first"), other)
    first, second = SMALL["stages"]
    same_choices = read_space({**SMALL, "stages": [first, {**second, "out": 32}]})
    with pytest.raises(UserError, match="not of search_space=small as it is now"):
        known_networks(config(home, "study=second", "networks=first"), same_choices)
    with pytest.raises(UserError, match="needs a name"):
        config(home, "networks=first")


def test_rank_correlation_is_that_of_the_ranks_of_common_networks() -> None:
    names = [str(number) for number in range(30)]
    chance = np.random.default_rng()
    ours, theirs = ({name: float(chance.integers(12)) for name in names} for _ in range(2))
    found, count = rank_correlation(ours | {"mine": 1.0}, theirs | {"yours": 2.0})
    ranks = [rankdata(list(one.values())) for one in (ours, theirs)]
    assert count == 30
    assert found == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)
    assert rank_correlation(ours, {name: 2 * value for name, value in ours.items()})[0] == pytest.approx(1)
    assert np.isnan(rank_correlation({"a": 1.0}, {"a": 1.0})[0])
