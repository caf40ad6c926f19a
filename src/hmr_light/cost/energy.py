"""The energy that processors have used, as Intel's and AMD's report it (RAPL, by Linux' powercap)."""

from __future__ import annotations

import math
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Joules of all processors of the machine together, whatever ran on them; not a number where none reports it."""

    def __init__(self, root: Path = POWERCAP) -> None:
        # Packages alone: what lies below them, and the memory, are counted in them or are not the processor's.
        packages = [one for one in sorted(root.glob("*rapl:*")) if one.name.count(":") == 1]
        self._counters = [one for one in packages if _read(one / "energy_uj") is not None]
        self._most = [_read(one / "max_energy_range_uj") or 0 for one in self._counters]
        self._last = self._values()

    def joules(self) -> float:
        """Since the last call, or since the meter was made."""
        before, self._last = self._last, self._values()
        if not self._counters:
            return math.nan
        used = 0
        for old, new, most in zip(before, self._last, self._most, strict=True):
            used += new - old if new >= old else new - old + most  # a counter begins anew after its greatest value
        return used / 1e6

    def _values(self) -> list[int]:
        return [_read(one / "energy_uj") or 0 for one in self._counters]


def _read(file: Path) -> int | None:
    """None where only the administrator may read it, or there is none."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
