"""Two processes that write one data set: one does, the other is told, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hmr_light.data.claim import claim
from hmr_light.errors import UserError

HOLDER = """
import sys
from pathlib import Path
from hmr_light.data.claim import claim
with claim(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_told_and_may_go_on_when_the_first_has_ended(tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "a.npz"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"another process is writing .*a\.npz"), claim(out):
            pass
        with claim(out.with_name("b.npz")):  # another file of that folder
            pass
        holder.stdin.write("\n")
        holder.stdin.close()
        assert holder.wait(300) == 0
    with claim(out):
        pass
    assert list(out.parent.iterdir()) == []


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    out = tmp_path / "a.npz"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
    with claim(out):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_is_given_back_after_an_error(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"), claim(tmp_path / "a"):
            raise ValueError("bad")
    assert list(tmp_path.iterdir()) == []
