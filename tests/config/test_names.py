"""A run, a model or a choice that is not there is named before the command runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hmr_light.config.names import Run
from hmr_light.errors import UserError


@pytest.mark.parametrize("holds", ["config.yaml", "journal.jsonl", "checkpoints/"])
def test_a_folder_that_holds_a_part_of_a_run_is_a_run(tmp_path: Path, holds: str) -> None:
    part = tmp_path / holds
    part.mkdir() if holds.endswith("/") else part.touch()
    Run().check("run", str(tmp_path))


def test_what_is_no_run_is_told_from_a_run_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "epoch-001.pt").touch()
    (tmp_path / "photographs").mkdir()
    for name, says in {
        "epoch-001.pt": "is a file, not the folder of a run",
        "photographs": "is not the folder of a run",
        "none": "there is no run",
    }.items():
        with pytest.raises(UserError, match=says):
            Run().check("run", str(tmp_path / name))


def test_an_id_and_a_word_are_no_folders() -> None:
    Run().check("run", "0123456789abcdef0123456789abcdef")
    Run(("auto",)).check("resume", "auto")
    with pytest.raises(UserError):
        Run().check("run", "auto")


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_wrong_run_is_named_first_whatever_else_is_missing(
    hmr_light: Any, home: Path, tmp_path: Path, command: str
) -> None:
    """Neither the rendered set nor a tracking store is there."""
    (tmp_path / "photographs").mkdir()
    more = ["input=photographs"] if command == "predict" else []
    for run in ("none", "photographs"):
        result = hmr_light(command, f"run={run}", *more, cwd=tmp_path)
        assert result.returncode == 2
        assert result.stderr.startswith(f"hmr-light: run: {'there is no run ' if run == 'none' else ''}{run}")
