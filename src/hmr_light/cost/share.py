"""The share of a CPU core that a process had while it was measured: whether its times can be trusted."""

from __future__ import annotations

QUIET_SHARE = 0.9
"""With less of a core than this, other processes made a time longer."""
MARK = "~"


def time_mark(share: float | None) -> str:
    """`~` for a time that was measured with less than `QUIET_SHARE` of a core; nothing where the share is unknown."""
    return MARK if share is not None and share < QUIET_SHARE else ""


def replaces(share: float | None, known_share: float | None) -> bool:
    """Whether a time measured with `share` of a core may replace one measured with `known_share`.

    A marked time replaces only one that was measured with less of a core. None is a share that is unknown: of an old
    measurement, which may have been good, or of a GPU, whose clock other processes of the CPU do not change.
    """
    if not time_mark(share):
        return True
    return known_share is not None and share is not None and share > known_share
