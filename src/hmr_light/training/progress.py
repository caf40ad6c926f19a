"""What a person sees of a training run: a bar while it runs, and a line an epoch, which `train.log` keeps."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from hmr_light.data.progress import ProgressBar
from hmr_light.errors import UserError
from hmr_light.evaluation.metrics import TITLES
from hmr_light.tracking.records import selection_error


class TrainingProgress:
    """A bar with loss, images/s, time left and the best so far; without a terminal, one line an epoch."""

    def __init__(
        self,
        log: Path,
        total_steps: int,
        done_steps: int,
        epochs: int,
        shown: bool,
        best: float = float("inf"),
        unit: str = "mm",
    ) -> None:
        """`best` is the lowest error so far, in `unit`."""
        self.console = Console(stderr=True, quiet=not shown)
        self._log = log if shown else None
        self.epochs = epochs
        self._steps_per_epoch = total_steps // epochs if epochs else 0
        self._epoch_started = time.perf_counter()
        self.best = best
        self._unit = unit
        self._evaluated = 0
        self._bar = ProgressBar(total_steps, "training", completed=done_steps, console=self.console)

    def __enter__(self) -> TrainingProgress:
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def step(self, epoch: int, step: int, images: int, loss: float) -> None:
        """`step` steps of `epoch` (from 0) are done; `images` since it began or was continued."""
        rate = images / (time.perf_counter() - self._epoch_started)
        best = f"  best {self.best:.1f} {self._unit}" if self.best < float("inf") else ""
        self._bar.update(
            epoch * self._steps_per_epoch + step,
            description=f"epoch {epoch + 1}/{self.epochs}",
            note=f"loss {loss:.4f}  {rate:.0f} images/s{best}",
        )

    def evaluated(self, name: str, images: int, people: int) -> None:
        """`images` more of the `people` in the evaluation set `name` are evaluated."""
        self._evaluated = self._evaluated + images if self._evaluated + images < people else 0
        self._bar.update(note=f"evaluating {name}: {self._evaluated or people} of {people}")

    def epoch(self, epoch: int, figures: dict[str, float]) -> None:
        """`epoch` epochs are done; `figures` by their MLflow names."""
        self._epoch_started = time.perf_counter()
        parts = [f"epoch {epoch}/{self.epochs}"]
        if "loss/total" in figures:
            parts.append(f"loss {figures['loss/total']:.4f}  {figures['images_per_second']:.0f} images/s")
        for metric, title in TITLES.items():
            if metric in figures:
                name, _, unit = title.partition(", ")
                parts.append(f"{name} {figures[metric]:.1f} {unit}")
        if selection_error(figures) < self.best:
            self.best = selection_error(figures)
            parts.append("(best so far)")
        self.say("  ".join(parts))

    def say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)
        if self._log:
            try:
                with self._log.open("a", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
            except OSError as error:
                raise UserError(f"cannot write {self._log}: {error.strerror or error}", "Free some space.") from error
