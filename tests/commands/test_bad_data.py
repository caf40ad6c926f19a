"""Faulty annotations and images reach the user as one message that says where, and leave nothing half written."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.cli import Command

Arrays = dict[str, np.ndarray]


def without(key: str) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        del arrays[key]

    return change


def spoil(key: str, value: float) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[key].reshape(len(arrays[key]), -1)[5, 0] = value

    return change


def cut(key: str) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[key] = arrays[key][:, :-1]

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without("center"), "has no 'center'"),
        (cut("pose"), "pose"),
        (spoil("S", np.nan), "S[5, "),
        (spoil("scale", 0.0), "scale[5]"),
    ],
)
def test_faulty_annotations_are_refused_by_key_and_index(
    change: Callable[[Arrays], None], says: str, quick: list[str], rendered: Path, hmr_light: Command, home: Path
) -> None:
    with np.load(rendered / "train.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files}
    change(arrays)
    np.savez(home / "train.npz", **arrays)
    result = hmr_light("train", *quick, f"data.train.synthetic.annotations={home / 'train.npz'}")
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    assert str(home / "train.npz") in result.stderr
    assert "Traceback" not in result.stderr
    assert not (home / "outputs").exists()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("fault", ["missing", "text"])
def test_a_faulty_image_is_named(
    fault: str, workers: int, quick: list[str], rendered: Path, hmr_light: Command, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(rendered, data)
    image = data / "train" / "000" / "000007.jpg"
    image.unlink()
    if fault == "text":
        image.write_text("not an image")
    result = hmr_light("train", *quick, f"data.root={data}", f"data.workers={workers}")
    assert result.returncode == 2, result.stderr
    assert str(image) in result.stderr
    assert "imgname[7]" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_full_disk_is_said_and_the_last_checkpoint_is_whole(quick: list[str], hmr_light: Command, home: Path) -> None:
    # A file system of 12 MB takes the run's folder but not a checkpoint of 20.
    (home / "small").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(home / "small")]
    mounted = shutil.which("mount") and subprocess.run(command, capture_output=True).returncode == 0
    if not mounted:
        pytest.skip("mounting a small file system needs root")
    try:
        result = hmr_light("train", *quick, f"outputs={home / 'small'}")
        left = [path.name for path in (home / "small").rglob("*.pt*")]
    finally:
        subprocess.run(["umount", str(home / "small")], check=True)
    assert result.returncode == 2, result.stderr
    assert "cannot write" in result.stderr
    assert "Traceback" not in result.stderr
    assert left == []
