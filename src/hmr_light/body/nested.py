"""Nested values that share their parts: small in memory, but without bound for code that visits every part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

MOST_VALUES = 2**26
"""Without the numbers in arrays."""


def refuse_unbounded(value: Any) -> None:
    """Raise `ValueError` if `value` holds itself, or too much where a part in several places counts in each of them.

    So it does for numpy and for `str`: forty lists, each twice the one before, are 10^12 values to them.
    """
    _count(value, {})


def _count(value: Any, done: dict[int, int]) -> int:
    if id(value) not in done:
        parts: Iterable[Any] = ()
        if isinstance(value, list | tuple):
            parts = value
        elif isinstance(value, dict):
            parts = value.values()
        elif isinstance(value, np.ndarray) and value.dtype.hasobject:
            parts = value.flat
        done[id(value)] = MOST_VALUES  # until it is known
        count = 1 + sum(_count(part, done) for part in parts)
        if count > MOST_VALUES:
            raise ValueError("its parts hold each other too often to be counted")
        done[id(value)] = count
    return done[id(value)]
