"""Progress of long work, on standard error: a bar on a terminal; elsewhere nothing, or a line now and then."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.console import Console

Item = TypeVar("Item")


class ProgressBar:
    """A bar with a description, the count, a note, the time so far and the time left; a context manager.

    It is drawn where `console` (standard error, if not given) is a terminal. Elsewhere a line is printed at the end and
    every `line_seconds`, if that is given, with `unit` behind the count.
    """

    def __init__(
        self,
        total: int | None,
        description: str,
        *,
        completed: int = 0,
        console: Console | None = None,
        line_seconds: float | None = None,
        unit: str = "",
    ) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.console = console or Console(stderr=True)
        self._line_seconds = None if self.console.is_terminal else line_seconds
        self._last_line = -float("inf")
        self._unit = unit
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=self.console.quiet or not self.console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(description, total=total, completed=completed, note="")

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, count: int = 1, *, description: str | None = None, note: str | None = None) -> None:
        """`count` more are done."""
        self.update(int(self._bar.tasks[0].completed) + count, description=description, note=note)

    def update(self, completed: int | None = None, *, description: str | None = None, note: str | None = None) -> None:
        """`completed` are done in all; None changes nothing."""
        task = self._bar.tasks[0]
        note = task.fields["note"] if note is None else note
        self._bar.update(self._task, completed=completed, description=description, note=note)
        now = time.monotonic()
        if self._line_seconds is not None and (
            task.completed == task.total or now - self._last_line >= self._line_seconds
        ):
            self._last_line = now
            line = f"{task.description}: {task.completed:.0f} of {task.total}{self._unit}"
            self.console.print(f"{line}, {task.fields['note']}", highlight=False, soft_wrap=True, markup=False)


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """`items`, with a bar of those that are done; of a single one there is no bar."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    if total == 1:  # nothing to wait for that a bar could show
        yield from items
        return
    with ProgressBar(total, description) as bar:
        for item in items:
            yield item
            bar.advance()
