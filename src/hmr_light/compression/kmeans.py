"""The best clusters of numbers on a line: k-means solved exactly, by dynamic programming.

In one dimension clusters are intervals. The least cost of the first i numbers in k clusters is the minimum over j < i
of that of the first j in k - 1, and the cost of one cluster from j to i; and the best j does not fall as i grows, since
that cost is concave Monge (Wang and Song, R Journal 2011; Grønlund et al., arXiv 1701.07204). So each row is found by
divide and conquer, all nodes of one depth at once.
"""

from __future__ import annotations

import numpy as np

MOST_VALUES = 1 << 15
"""Different numbers that are told apart. Where there are more, those that are equal in float16 stay together."""


def clusters(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The centres (k,) float32, ascending, and the index (n,) of the centre of each of `values` (n,).

    k is `count`, or the number of different values where that is less. The sum of squared distances is the least that
    there is; with more than `MOST_VALUES` different values, it is not more than the least of those partitions that keep
    values together which are equal in float16.
    """
    numbers = np.asarray(values, np.float64).ravel()
    keys, groups, sizes = np.unique(numbers, return_inverse=True, return_counts=True)
    if len(keys) > MOST_VALUES:
        keys, groups, sizes = np.unique(
            numbers.astype(np.float32).astype(np.float16), return_inverse=True, return_counts=True
        )
    # Around their mean, so that squares do not cancel each other.
    centred = numbers - numbers.mean()
    sums = np.bincount(groups, weights=centred, minlength=len(keys))
    squares = np.bincount(groups, weights=centred**2, minlength=len(keys))
    count = min(count, len(keys))
    n, s, q = (np.concatenate(([0.0], np.cumsum(one))) for one in (sizes, sums, squares))
    ends = _partition(n, s, q, count)
    of_group = np.searchsorted(ends, np.arange(len(keys)), side="right")
    indices = of_group[groups.ravel()]
    centres = np.bincount(indices, weights=numbers, minlength=count) / np.bincount(indices, minlength=count)
    rounded = centres.astype(np.float32)
    # Each to its nearest, of the values that were kept together too: the sum can only fall.
    return rounded, np.searchsorted((rounded[1:].astype(np.float64) + rounded[:-1]) / 2, numbers)


def _partition(n: np.ndarray, s: np.ndarray, q: np.ndarray, count: int) -> np.ndarray:
    """Where the `count` best clusters end, (count,); `n`, `s`, `q` are prefix sums (m + 1,) of 1, value, square."""
    size = len(n) - 1
    costs = np.full(size + 1, np.inf)
    costs[0] = 0.0
    choices = np.zeros((count, size + 1), np.int32)
    for row in range(count):
        costs, choices[row] = _row(costs, n, s, q, row)
    ends = np.empty(count, np.int64)
    end = size
    for row in reversed(range(count)):
        ends[row] = end
        end = int(choices[row, end])
    return ends


def _row(costs: np.ndarray, n: np.ndarray, s: np.ndarray, q: np.ndarray, row: int) -> tuple[np.ndarray, np.ndarray]:
    """The least costs with one cluster more than in `costs` (m + 1,), and where that cluster begins, for each end."""
    size = len(n) - 1
    found, choice = np.full(size + 1, np.inf), np.zeros(size + 1, np.int32)
    low, high = np.array([row + 1]), np.array([size])
    least, most = np.array([row]), np.array([size])
    while len(low):
        middle = (low + high) // 2
        last = np.minimum(most, middle - 1)
        widths = last - least + 1
        offsets = np.concatenate(([0], np.cumsum(widths)[:-1]))
        begin = np.arange(widths.sum()) - np.repeat(offsets - least, widths)
        end = np.repeat(middle, widths)
        total = costs[begin] + (q[end] - q[begin]) - (s[end] - s[begin]) ** 2 / (n[end] - n[begin])
        minima = np.minimum.reduceat(total, offsets)
        hits = np.flatnonzero(total == np.repeat(minima, widths))
        node = np.searchsorted(offsets, hits, side="right") - 1
        firsts = np.unique(node, return_index=True)[1]
        best = begin[hits[firsts]]
        found[middle], choice[middle] = minima, best
        low, high = np.concatenate((low, middle + 1)), np.concatenate((middle - 1, high))
        least, most = np.concatenate((least, best)), np.concatenate((best, most))
        left = low <= high
        low, high, least, most = low[left], high[left], least[left], most[left]
    return found, choice
