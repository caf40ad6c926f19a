"""The supernet of another study is used as it is, or refused before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.cli import compose
from support.spaces import SMALL

from hmr_light.checkpoints.format import FORMAT, save_last
from hmr_light.config.strict import plain
from hmr_light.errors import UserError
from hmr_light.search.reading import read_space
from hmr_light.search.supernet import check_supernet

NARROW = {**SMALL, "stem": {"out": 8}}


def config(home: Path, node: dict[str, Any] = SMALL, *more: str) -> Any:
    words = ("tracking=journal", f"outputs={home}", "method=supernet", "study=second", "supernet.study=first", *more)
    one = compose("search", *words)
    one.search_space = node
    return one


def save_supernet(home: Path, epoch: int) -> None:
    """The state of a supernet of `SMALL` after `epoch` of 20 epochs, as far as it is looked at before it is used."""
    folder = home / "studies" / "first" / "supernet" / "checkpoints"
    folder.mkdir(parents=True)
    save_last(folder, {"format": FORMAT, "config": plain(config(home, SMALL, "trainer.epochs=20")), "epoch": epoch})


def test_a_supernet_that_is_not_there_or_not_done_is_refused(home: Path) -> None:
    with pytest.raises(UserError, match=r"supernet\.study=first: there is no supernet in"):
        check_supernet(config(home), read_space(SMALL))
    save_supernet(home, 19)
    with pytest.raises(UserError, match=r"supernet\.study=first: 19 of 20 epochs of its supernet are done"):
        check_supernet(config(home), read_space(SMALL))
    check_supernet(config(home, SMALL, "trials=0"), read_space(SMALL))


def test_a_supernet_of_another_space_is_refused(home: Path) -> None:
    save_supernet(home, 20)
    check_supernet(config(home), read_space(SMALL))
    check_supernet(config(home, {**SMALL, "budget": {"macs": 1e6}}), read_space(SMALL))
    with pytest.raises(UserError, match="its supernet is not of search_space=small as it is now"):
        check_supernet(config(home, NARROW), read_space(NARROW))


def test_a_supernet_is_not_read_by_the_other_method(home: Path) -> None:
    with pytest.raises(UserError, match=r"supernet\.study=first is not read by method=trials") as caught:
        config(home, SMALL, "method=trials")
    assert caught.value.remedy == "Add method=supernet, or leave it out."
