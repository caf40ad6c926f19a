"""The one-euro filter is that of the paper, a vector at a time."""

from __future__ import annotations

import math

import numpy as np

from hmr_light.deployment.runtime.one_euro import OneEuro


def by_hand(values: np.ndarray, times: np.ndarray, cutoff: float, beta: float) -> np.ndarray:
    """Casiez et al., algorithm 1 and 2, for vectors whose speed is their length."""

    def alpha(cutoff: float, seconds: float) -> float:
        return 1 / (1 + 1 / (2 * math.pi * cutoff) / seconds)

    smooth, speed, results = values[0], np.zeros(values.shape[1]), [values[0]]
    for value, seconds in zip(values[1:], np.diff(times), strict=True):
        a = alpha(1.0, seconds)
        speed = a * (value - smooth) / seconds + (1 - a) * speed
        a = alpha(cutoff + beta * math.sqrt(sum(speed**2)), seconds)
        smooth = a * value + (1 - a) * smooth
        results.append(smooth)
    return np.array(results)


def test_it_is_the_papers_for_each_vector() -> None:
    rng = np.random.default_rng()
    values, times = rng.normal(size=(30, 4, 3)), rng.uniform(0.01, 0.1, 30).cumsum()
    cutoff, beta = rng.uniform(0.5, 2), rng.uniform(0, 2)
    smooth = OneEuro(cutoff, beta)
    found = np.array([smooth(value, time) for value, time in zip(values, times, strict=True)])
    for vector in range(4):
        # The rounding of float64, also where a value is near 0.
        np.testing.assert_allclose(found[:, vector], by_hand(values[:, vector], times, cutoff, beta), atol=1e-12)


def test_what_stands_still_stays_and_what_trembles_trembles_less() -> None:
    rng = np.random.default_rng()
    still, trembling = OneEuro(1.0, 0.5), OneEuro(1.0, 0.0)
    value = rng.normal(size=(2, 5))
    noise = rng.normal(size=(200, 2, 5))
    assert all(np.array_equal(still(value, frame / 25), value) for frame in range(9))
    smoothed = np.array([trembling(one, frame / 25) for frame, one in enumerate(noise)])
    assert smoothed[50:].std() < 0.5 * noise[50:].std()
