"""What a conversion kept and what it left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ConversionSummary:
    """The outcome of a converter. Everyone in the source is either kept or counted under the reason he was dropped."""

    out: Path
    kept: int
    dropped: dict[str, int]
    """People left out, by reason."""

    def __str__(self) -> str:
        lines = [f"{self.out}: {self.kept} people kept, {sum(self.dropped.values())} left out"]
        return "\n".join(lines + [f"  {count:>7}  {reason}" for reason, count in self.dropped.items()])
