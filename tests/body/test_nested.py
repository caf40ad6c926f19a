"""Nested values that share their parts are counted without visiting each part twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hmr_light.body.nested import refuse_unbounded


def doubled(value: Any, times: int, make: Any) -> Any:
    for _ in range(times):
        value = make(value)
    return value


@pytest.mark.parametrize(
    "make",
    [lambda part: [part, part], lambda part: (part, part), lambda part: {"a": part, "b": part}],
    ids=["list", "tuple", "dict"],
)
def test_forty_doublings_are_refused_at_once_and_ten_are_not(make: Any) -> None:
    refuse_unbounded(doubled(1.0, 10, make))
    with pytest.raises(ValueError, match="too often"):
        refuse_unbounded(doubled(1.0, 40, make))


def test_what_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="too often"):
        refuse_unbounded({"a": loop})
    holder = np.empty(1, object)
    holder[0] = holder
    with pytest.raises(ValueError, match="too often"):
        refuse_unbounded(holder)


def test_arrays_of_numbers_do_not_count() -> None:
    refuse_unbounded({"weights": np.zeros(2**20), "names": ["a", "b"], "shape": (1, 2)})
