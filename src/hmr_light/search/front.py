"""The front: trials that no other one beats."""

from __future__ import annotations

from collections.abc import Sequence

from hmr_light.search.study import Trial


def front(trials: Sequence[Trial]) -> list[Trial]:
    """Those trials, of which all have ended, that no other is as good as in all objectives and better in one."""

    def beats(one: Trial, other: Trial) -> bool:
        assert one.values is not None
        assert other.values is not None
        pairs = list(zip(one.values, other.values, strict=True))
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    found = [one for one in trials if not any(beats(other, one) for other in trials)]
    return sorted(found, key=lambda one: tuple(one.values or ()))
