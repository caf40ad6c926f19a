"""Which times are marked, and which may replace which."""

from __future__ import annotations

import pytest

from hmr_light.cost.share import replaces, time_mark


@pytest.mark.parametrize(("share", "mark"), [(1.0, ""), (0.9, ""), (0.899, "~"), (0.25, "~"), (0.0, "~"), (None, "")])
def test_a_time_with_less_than_nine_tenths_of_a_core_is_marked(share: float | None, mark: str) -> None:
    assert time_mark(share) == mark


@pytest.mark.parametrize(
    ("share", "known", "expected"),
    [
        (1.0, 1.0, True),  # the newer
        (0.9, 1.0, True),
        (1.0, 0.3, True),
        (1.0, None, True),
        (0.25, 1.0, False),
        (0.89, 0.9, False),
        (0.25, None, False),  # an old time may have been good
        (0.5, 0.25, True),  # both marked: the better of them
        (0.25, 0.5, False),
        (0.25, 0.25, False),
        (None, 1.0, True),  # a GPU's
    ],
)
def test_a_marked_time_never_replaces_a_better_one(share: float | None, known: float | None, expected: bool) -> None:
    assert replaces(share, known) == expected
