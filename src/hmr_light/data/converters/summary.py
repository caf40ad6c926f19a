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
    """How many were left out, by reason."""
    images: Path | None = None
    """The folder that the images' paths are relative to; null where a set has no images."""
    next_step: str = ""
    """What the user can do with it: the arguments of hmr-light."""
    what: str = "people"

    def __str__(self) -> str:
        lines = [f"{self.out}: {self.kept} {self.what} kept, {sum(self.dropped.values())} left out"]
        return "\n".join(lines + [f"  {count:>7}  {reason}" for reason, count in self.dropped.items()])
