"""Which network of a supernet each step trains."""

from __future__ import annotations

import zlib

import numpy as np

from hmr_light.search.space import Space, Values, fits

TRIES = 10_000


class FairPaths:
    """A network for every step, a function of the seed and the step.

    Of a choice of n values, every n steps train each value once, in a random order (Chu et al., "FairNAS", ICCV 2021).
    Where the values of a step do not go together, others are drawn for it.

    Trained on all networks from the first step, a supernet predicted one mean for every image (docs/search.md). So
    training begins with one network, that of the middle values, and widens: in the first `widening` steps a choice has
    the value whose turn it is with a probability that rises from 0 to 1 as the square of the step, else its middle one.
    """

    def __init__(self, space: Space, seed: int, widening: int = 0) -> None:
        self._space, self._seed, self._widening = space, seed, widening

    def at(self, step: int) -> Values:
        """The values of every parameter of the space, for `step` (from 0)."""
        values = {}
        for name, choices in self._space.parameters.items():
            turn, place = divmod(step, len(choices))
            order = np.random.default_rng((self._seed, zlib.crc32(name.encode()), turn)).permutation(len(choices))
            values[name] = choices[order[place]]
        chance = np.random.default_rng((self._seed, step))
        if step < self._widening:
            for name, choices in self._space.parameters.items():
                if chance.random() >= (step / self._widening) ** 2:
                    values[name] = choices[(len(choices) - 1) // 2]
        for _ in range(TRIES):
            if fits(self._space.decode(values)):
                return values
            values = {name: choices[chance.integers(len(choices))] for name, choices in self._space.parameters.items()}
        raise AssertionError(f"of {TRIES} draws, no network of {self._space.name} can be built")
