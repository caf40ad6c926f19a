"""Progress is drawn on a terminal alone; where a log is kept, lines tell how far the work is."""

from __future__ import annotations

import io

from rich.console import Console

from hmr_light.data.progress import ProgressBar, track


def test_no_terminal_gets_no_bar() -> None:
    out = io.StringIO()
    with ProgressBar(3, "work", console=Console(file=out)) as bar:
        bar.advance(2)
        bar.update(3, note="fast")
    assert out.getvalue() == ""


def test_lines_where_they_are_asked_for() -> None:
    out = io.StringIO()
    with ProgressBar(4, "[work]", console=Console(file=out), line_seconds=1000, unit=" images") as bar:
        for done in range(1, 5):
            bar.update(done, note=f"{done} images/s")
    assert out.getvalue().splitlines() == ["[work]: 1 of 4 images, 1 images/s", "[work]: 4 of 4 images, 4 images/s"]


def test_a_terminal_sees_description_count_and_note() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    with ProgressBar(7, "rendering [x]", console=console) as bar:
        bar.advance(3, description="drawing [y]", note="12 images/s")
    assert "drawing [y]" in out.getvalue()
    assert "3/7" in out.getvalue()
    assert "12 images/s" in out.getvalue()


def test_tracked_items_are_the_items() -> None:
    items = [object() for _ in range(5)]
    assert list(track(items, "going through")) == items
    assert list(track(iter(items), "going through", 5)) == items
