"""What a missing file of annotations is made with: the command writes exactly that file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import compose
from support.hints import arguments_of

from hmr_light.config.choices import choices, compose_data
from hmr_light.config.limits import check_places
from hmr_light.config.makers import make_command, make_remedy
from hmr_light.errors import UserError

BY_HAND = {"custom", "coco_val", "mixture"}
"""Data that no single command without further files writes."""


def written(command: str) -> set[Path]:
    """The files that the command would write."""
    config = compose(*arguments_of(command)).source
    out = Path(config["out"])
    return {out / f"{s}.npz" for s in ("train", "val", "test", "test-ood")} if config["name"] == "synthetic" else {out}


@pytest.mark.parametrize("root", [None, "of my own, in [brackets]"])
@pytest.mark.parametrize("name", choices("data"))
def test_the_command_writes_the_missing_file(name: str, root: str | None, home: Path) -> None:
    data = compose_data(name)
    for set_name, one in {**data["train"], **data["evaluation"]}.items():
        file = Path(one["annotations"])
        file = home / root / file.name if root else file
        command = make_command(file, set_name)
        if name not in BY_HAND:
            assert command is not None
        if command is not None:
            assert file in written(command), command


def test_a_missing_set_is_answered_by_the_whole_command(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no file of annotations") as told:
        check_places(compose("train", f"data.root={tmp_path / 'demo'}"))
    assert f"hmr-light prepare source=synthetic source.out={tmp_path / 'demo'}" in told.value.remedy


def test_a_file_that_no_source_writes_has_a_remedy_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HMR_LIGHT_HOME", "")  # so that it is put back afterwards
    monkeypatch.delenv("HMR_LIGHT_HOME")
    assert make_command(tmp_path / "mine.npz", "mine") is None
    assert "prepare source=…" in make_remedy("data.train.mine.annotations", tmp_path / "mine.npz")
