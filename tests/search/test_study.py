"""The rules by which workers take, lose and finish trials, on a journal, SQLite and PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from support.cli import compose
from support.postgres import open_postgres
from support.spaces import SMALL

from hmr_light.errors import UserError
from hmr_light.search.reading import read_space
from hmr_light.search.reports import draw as draw_front
from hmr_light.search.sampling import Drawn, Judge, draw
from hmr_light.search.study import Lost, Study, Trial, study_folder

SPACE = read_space(SMALL)
JUDGE = Judge({}, None)


def config(home: Path, *more: str) -> Any:
    one = compose("search", "tracking=journal", f"outputs={home}", "sampler=random", "trials=4", *more)
    one.search_space = SMALL
    return one


def draw_next(trials: Sequence[Trial]) -> Drawn | None:
    known = {one.attributes["network"] for one in trials}
    return draw(SPACE, JUDGE, [one.frozen for one in trials], known, sampler="random", objectives=2, seed=0)


def worker(home: Path, *more: str) -> Study:
    study = Study(config(home, *more), home / "study")
    study.begin()
    return study


@pytest.fixture(params=["journal", "sqlite"])
def storage(request: pytest.FixtureRequest) -> str:
    return f"storage={request.param}"


def test_a_trial_whose_worker_is_gone_is_taken_over_as_it_is_and_counts_once(home: Path, storage: str) -> None:
    first, second = worker(home, storage), worker(home, storage)
    one, other = first.take(draw_next), second.take(draw_next)
    assert one is not None
    assert other is not None
    assert (one.number, other.number) == (0, 1)
    assert one.attributes["network"] != other.attributes["network"]
    first.note(one, "errors", {"1": 5.0})
    third = second.take(draw_next)
    assert third is not None
    assert third.number == 2, "nobody takes the trial of a worker that is alive"
    first.locks.release()  # as the system does when the process ends
    again = second.take(draw_next)
    assert again is not None
    assert again.number == 0
    assert again.nodes == one.nodes
    assert again.errors == {1: 5.0}
    with pytest.raises(Lost):
        first.finish(one, TrialState.COMPLETE, [1.0, 2.0])
    second.finish(again, TrialState.COMPLETE, [3.0, 4.0], run="here")
    with pytest.raises(Lost):
        second.finish(again, TrialState.COMPLETE, [5.0, 6.0])
    second.finish(other, TrialState.PRUNED, None)
    second.finish(third, TrialState.FAIL, None, reason="diverged")
    last = second.take(draw_next)
    assert last is not None
    assert second.take(draw_next) is None
    assert not second.is_done
    second.finish(last, TrialState.COMPLETE, [7.0, 8.0])
    assert second.is_done
    assert [one.state.name for one in second.trials()] == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    assert second.trials()[0].values == [3.0, 4.0]


@pytest.mark.slow
def test_a_trial_is_taken_over_on_postgresql_too(home: Path) -> None:
    with open_postgres() as uri:
        test_a_trial_whose_worker_is_gone_is_taken_over_as_it_is_and_counts_once(home, f"storage={uri}")
        with pytest.raises(UserError, match="password authentication failed") as caught:
            Study(config(home, f"storage={uri.replace('geheim', 'falsch')}"), home / "study")
        assert "falsch" not in str(caught.value)


def test_a_study_goes_on_with_more_trials_and_is_refused_with_other_options(home: Path, storage: str) -> None:
    first = Study(config(home, storage), home / "study")
    assert Study(config(home, storage, "trials=9"), home / "study").identity == first.identity
    with pytest.raises(UserError, match=r"begun with other options: seed was 0, is 1") as caught:
        Study(config(home, storage, "seed=1"), home / "study")
    assert "study=NAME" in caught.value.remedy


@pytest.mark.parametrize("name", ["a:b", "a b", "a/b", "..", "a" * 61])
def test_a_name_that_two_folders_could_have_is_refused(name: str, home: Path) -> None:
    assert study_folder(config(home), "Größe-1_b.(2)").name == "Größe-1_b.(2)"
    with pytest.raises(UserError, match="cannot be the name of a folder") as caught:
        study_folder(config(home), name)
    assert "study=NAME" in caught.value.remedy


def test_no_network_is_trained_twice_and_a_space_that_is_used_up_ends_the_study(home: Path) -> None:
    node = {**SMALL, "stages": SMALL["stages"][1:], "stem": {"out": 8}, "head": None}
    space = read_space(node)  # 2 repeats, 2 kinds, 2 regressors
    study = worker(home, "trials=100")

    def next_one(trials: Sequence[Trial]) -> Drawn | None:
        known = {one.attributes["network"] for one in trials}
        return draw(space, JUDGE, [one.frozen for one in trials], known, sampler="random", objectives=2, seed=0)

    while (trial := study.take(next_one)) is not None:
        study.finish(trial, TrialState.COMPLETE, [1.0, 1.0])
    assert len({one.attributes["network"] for one in study.trials()}) == len(study.trials()) == 8
    assert study.is_exhausted
    assert study.is_done


@pytest.mark.parametrize(("count", "named"), [(1, 1), (2, 2), (12, 12), (13, 12), (20, 12)])
def test_at_most_twelve_networks_of_a_front_have_their_number_beside_them(count: int, named: int, home: Path) -> None:
    study = worker(home, f"trials={count}", "objectives=[error,macs]")
    for _ in range(count):
        trial = study.take(draw_next)
        assert trial is not None
        study.finish(trial, TrialState.COMPLETE, [300.0 - trial.costs["macs"] / 1e6, trial.costs["macs"]])
    front = sorted(study.trials(), key=lambda one: one.costs["macs"])
    draw_front(home / "front.png", study, front, front)
    drawn = (home / "front.svg").read_text(encoding="utf-8")
    numbers = [int(one) for one in re.findall(r">(\d+)</text>", drawn) if int(one) < count]  # without those of the axes
    assert len(numbers) == 2 * named, "one panel for each cost"
    assert len(set(numbers)) == named
    assert {front[0].number, front[-1].number} <= set(numbers)
