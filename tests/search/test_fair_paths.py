from __future__ import annotations

import random
from collections import Counter

from support.spaces import SMALL, packaged

from hmr_light.search.fair_paths import FairPaths
from hmr_light.search.reading import read_space
from hmr_light.search.space import fits


def test_every_value_of_a_choice_is_trained_once_in_as_many_steps() -> None:
    space = read_space(SMALL)  # all of its combinations can be built
    paths = FairPaths(space, seed=random.randrange(1000))
    seen = [paths.at(step) for step in range(60)]
    for name, choices in space.parameters.items():
        for first in range(0, 60, len(choices)):
            window = seen[first : first + len(choices)]
            assert Counter(values[name] for values in window) == Counter(choices)


def test_paths_are_a_function_of_the_seed_and_the_step_and_can_be_built() -> None:
    space = packaged("shufflenet_v1")  # groups that do not divide widths
    one, same, other = FairPaths(space, 5), FairPaths(space, 5), FairPaths(space, 6)
    steps = [random.randrange(10**6) for _ in range(20)]
    found = [one.at(step) for step in steps]
    assert [same.at(step) for step in reversed(steps)] == found[::-1]
    assert [other.at(step) for step in steps] != found
    assert all(fits(space.decode(values)) for values in found)


def test_paths_widen_from_the_middle_network_to_all() -> None:
    space = read_space(SMALL)
    seed, steps = random.randrange(1000), 4000
    widening, fair = FairPaths(space, seed, widening=steps), FairPaths(space, seed)
    middle = {name: choices[(len(choices) - 1) // 2] for name, choices in space.parameters.items()}
    assert widening.at(0) == middle
    later = range(steps, steps + 50)
    assert [widening.at(step) for step in later] == [fair.at(step) for step in later]
    # The mean of (step / steps)² over the first quarter, and over the second half.
    for turns, share in ((range(steps // 4), 0.25**2 / 3), (range(steps // 2, steps), (1 - 0.5**3) / 1.5)):
        pairs = [(widening.at(step), fair.at(step)) for step in turns]
        told = [(one[name], other[name], middle[name]) for one, other in pairs for name in middle]
        told = [(ours, theirs, centre) for ours, theirs, centre in told if theirs != centre]
        assert all(ours in (theirs, centre) for ours, theirs, centre in told)
        assert abs(sum(ours == theirs for ours, theirs, _ in told) / len(told) - share) < 0.03
