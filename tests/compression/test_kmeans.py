"""k-means on a line: the least cost that there is."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.stats import norm

from hmr_light.compression.kmeans import MOST_VALUES, clusters


def least_cost(values: np.ndarray, count: int) -> float:
    """By trying every way to cut the sorted numbers into `count` parts."""
    ordered = np.sort(values)
    cuts = itertools.combinations(range(1, len(ordered)), min(count, len(np.unique(ordered))) - 1)
    return min(sum(((one - one.mean()) ** 2).sum() for one in np.split(ordered, list(places))) for places in cuts)


def cost(values: np.ndarray, count: int) -> float:
    centres, nearest = clusters(values, count)
    assert len(centres) == min(count, len(np.unique(values)))
    assert (np.diff(centres) > 0).all()
    assert set(nearest) == set(range(len(centres)))
    return float(((centres.astype(np.float64)[nearest] - values) ** 2).sum())


def test_no_partition_is_better() -> None:
    rng = np.random.default_rng()
    for _ in range(150):
        values = rng.normal(rng.uniform(-5, 5), rng.uniform(0.1, 3), rng.integers(1, 11)).round(rng.integers(0, 3))
        count = int(rng.integers(1, 6))
        assert abs(cost(values, count) - least_cost(values, count)) < 1e-5, (values.tolist(), count)


def test_enough_values_lose_nothing_and_equal_ones_are_together() -> None:
    values = np.array([3.0, -1.5, 3.0, 0.25, -1.5, 3.0], np.float32)
    centres, nearest = clusters(values, 64)
    assert centres.tolist() == [-1.5, 0.25, 3.0]
    assert np.array_equal(centres[nearest], values)
    assert clusters(np.zeros(5), 4)[0].tolist() == [0.0]


def test_every_number_is_with_its_nearest_centre_and_centres_are_means() -> None:
    """What an optimum must have; of many numbers, where no trial is possible. It is better than equal parts too."""
    rng = np.random.default_rng()
    values = np.concatenate([rng.normal(0, 0.02, 3000), rng.laplace(0, 0.1, 1000)]).astype(np.float32)
    centres, nearest = clusters(values, 16)
    middles = (centres[1:] + centres[:-1]) / 2
    assert (np.searchsorted(middles, values) == nearest).mean() > 0.999  # but for rounding at the middles
    for index, centre in enumerate(centres):
        assert abs(values[nearest == index].mean(dtype=np.float64) - centre) < 1e-6
    ordered = np.sort(values).astype(np.float64)
    equal = sum(((part - part.mean()) ** 2).sum() for part in np.array_split(ordered, 16))
    assert cost(values, 16) < 0.5 * equal


def test_of_very_many_values_those_of_one_half_precision_number_stay_together() -> None:
    # In parts of one probability: what random draws of a normal distribution would be without chance.
    size = 4 * MOST_VALUES
    values = norm.ppf((np.random.default_rng().permutation(size) + 0.5) / size).astype(np.float32)
    centres, nearest = clusters(values, 4)
    order = np.argsort(values)
    assert (np.diff(nearest[order]) >= 0).all()
    assert np.array_equal(np.abs(values[:, None] - centres).argmin(1), nearest)
    # The optimum of a normal distribution in four parts (Max, IRE Trans. Inf. Theory 1960, table I).
    assert np.allclose(centres, [-1.510, -0.4528, 0.4528, 1.510], atol=1e-3)
