"""What a conversion kept and what it left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hmr_light.config.hints import command_line, newest_run


@dataclass(frozen=True)
class ConversionSummary:
    """The outcome of a converter. Each person of the source is kept, or is counted under the reason for leaving out."""

    out: Path
    kept: int
    dropped: dict[str, int]
    """How many were left out, by reason."""
    images: Path | None = None
    """The folder that the images' paths are relative to; null where a set has no images."""
    next_step: str = ""
    """What the user can do with it: a command to type."""
    or_step: str = ""
    """What else: another command."""
    what: str = "people"
    notes: dict[str, int] = field(default_factory=dict)
    """Labels of the people kept that the source has and `out` has not, or has otherwise: how many, by reason."""

    def __str__(self) -> str:
        lines = [f"{self.out}: {self.kept} {self.what} kept, {sum(self.dropped.values())} left out"]
        lines += [f"  {count:>7}  {reason}" for reason, count in self.dropped.items()]
        if self.notes:
            lines += [f"  labels of the {self.what} kept:"]
            lines += [f"  {count:>7}  {reason}" for reason, count in self.notes.items()]
        return "\n".join(lines)


def train_step(data: str, out: Path, images: Path) -> str:
    """The command that trains on the annotations `out`, as the only set of the choice `data`."""
    places = {f"data.train.{data}.annotations": out, f"data.train.{data}.images": images}
    return command_line("train", {"experiment": "mobilenet_v2", "data": data} | places)


def fine_tune_step(out: Path, images: Path) -> str:
    """The command that fine-tunes the model of the package on the 2D keypoints in `out`."""
    places = {"data.train.custom.annotations": out, "data.train.custom.images": images}
    return command_line("train", {"experiment": "few_labels"} | places)


def evaluate_step(data: str, name: str, out: Path, options: dict[str, Any]) -> str:
    """The command that scores the newest run on the annotations `out`, as the set `name` of the choice `data`."""
    places = {"data": data} | options | {f"data.evaluation.{name}.annotations": out}
    return command_line("evaluate", {"run": newest_run()} | places)
