"""A teacher whose predictions are kept teaches what one teaches that looks at every image in every step."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.child_processes import ChildProcesses
from support.cli import compose
from support.small_run import TRAIN, assert_same, options, result, run_folders
from support.teachers import write_teacher

from hmr_light.commands.train import run
from hmr_light.errors import UserError
from hmr_light.training.distillation import Teacher

CACHE = "distillation.cache=true"


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images the teacher was shown, each time."""
    looks: list[int] = []
    look = Teacher.__call__

    def counted(self: Teacher, images: torch.Tensor) -> Any:
        looks.append(len(images))
        return look(self, images)

    monkeypatch.setattr(Teacher, "__call__", counted)
    return looks


def arguments(data: Path, outputs: Path, teacher: Path, *more: str) -> list[str]:
    teach = ("objective=distillation", f"distillation.teacher={teacher}")
    return options(data, outputs, *teach, "data.workers=1", "data/augmentation=none", *more)


def trained(*of_run: Any) -> dict[str, Any]:
    command, *overrides = arguments(*of_run)
    return result(run(compose(command, *overrides)))


def test_a_cache_changes_no_bit_whether_it_is_filled_or_read_or_its_filling_was_killed(
    child_processes: ChildProcesses, data: Path, teacher: Path, tmp_path: Path, looks: list[int]
) -> None:
    mirror = "data.augmentation.flip_probability=0.5"
    expected = trained(data, tmp_path / "looked", teacher, mirror)
    assert looks == [4] * 2 * (TRAIN // 4)
    looks.clear()

    begin = arguments(data, tmp_path / "filled", teacher, CACHE, mirror)
    home = {"HMR_LIGHT_HOME": str(tmp_path / "home")}
    child = child_processes.start(*begin, at=("hmr_light.training.teacher_cache:normalize", 4), **home)
    assert child.wait() == -9, child.said
    (folder,) = (tmp_path / "home" / "cache" / "teachers").iterdir()
    assert {path.name for path in folder.iterdir()} == {"rotations.npy", "betas.npy", "camera.npy"}
    assert_same(trained(data, tmp_path / "filled", teacher, CACHE, "resume=auto", mirror), expected)
    assert len(run_folders(tmp_path / "filled")) == 1
    assert looks == [4] * math.ceil(2 * TRAIN / 4)
    looks.clear()
    assert_same(trained(data, tmp_path / "read", teacher, CACHE, mirror), expected)
    assert looks == []


def test_a_cache_belongs_to_a_teacher_and_serves_every_student_and_seed(
    data: Path, teacher: Path, tmp_path: Path, looks: list[int]
) -> None:
    other = write_teacher(tmp_path / "other.pt", int(np.random.default_rng().integers(2**31)))
    moved = Path(shutil.copy(teacher, tmp_path / "moved.pt"))
    small = "backbone.width=0.125"
    for one, more, count in ((teacher, (), math.ceil(TRAIN / 4)), (other, (), 5), (moved, ("seed=7", small), 0)):
        looks.clear()
        trained(data, tmp_path / one.stem, one, CACHE, "trainer.epochs=1", "data.workers=0", *more)
        assert len(looks) == count, one


def test_an_image_that_was_mended_since_is_not_taught_by_what_was_seen_before(
    data: Path, teacher: Path, tmp_path: Path
) -> None:
    more = ("trainer.max_bad_fraction=0.2", "trainer.epochs=2", "data.workers=0")
    whole = (data / "train003.jpg").read_bytes()
    (data / "train003.jpg").write_bytes(b"no image")
    expected = trained(data, tmp_path / "looked", teacher, *more)
    assert "train003.jpg" in expected["bad"]
    assert_same(trained(data, tmp_path / "kept", teacher, CACHE, *more), expected)
    (data / "train003.jpg").write_bytes(whole)
    with pytest.raises(UserError, match=r"imgname\[3\] of .* could not be read when the teacher's predictions"):
        trained(data, tmp_path / "mended", teacher, CACHE, *more)
