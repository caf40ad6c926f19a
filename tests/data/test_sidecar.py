"""What was found out about a large file is kept beside it, and believed only for that file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hmr_light.data import sidecar
from hmr_light.data.annotations import fingerprint, load_annotations
from hmr_light.data.npz import write_npz
from hmr_light.data.sidecar import add_to_sidecar, read_sidecar
from hmr_light.errors import UserError

PEOPLE = 40_000


@pytest.fixture
def rng() -> np.random.Generator:
    seed = int(np.random.default_rng().integers(2**31))
    print("seed", seed)
    return np.random.default_rng(seed)


@pytest.fixture
def with_sidecars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of any size get a sidecar."""
    monkeypatch.setattr(sidecar, "LEAST_BYTES", 0)


def people(rng: np.random.Generator, count: int = PEOPLE) -> dict[str, np.ndarray]:
    return {
        "imgname": np.char.add(np.arange(count).astype(str), "/그림.jpg"),
        "center": rng.random((count, 2), np.float32),
        "scale": rng.uniform(0.1, 3, count).astype(np.float32),
        "pose": rng.random((count, 72), np.float32),
        "shape": rng.random((count, 10), np.float32),
        "has_smpl": rng.random(count) < 0.5,
        "gender": np.full(count, "n"),
    }


def test_a_sidecar_spares_the_second_check_of_the_same_file_only(
    tmp_path: Path, rng: np.random.Generator, with_sidecars: None
) -> None:
    arrays, path = people(rng, 50), tmp_path / "a.npz"
    write_npz(path, arrays)
    expected = fingerprint(load_annotations(path))
    assert read_sidecar(path) == {"rules": "2", "fingerprint": expected}
    assert fingerprint(load_annotations(path)) == expected

    arrays["scale"][7] = np.nan
    write_npz(path, arrays)
    assert read_sidecar(path) == {}
    with pytest.raises(UserError, match=r"scale\[7\] = nan"):
        load_annotations(path)
    assert read_sidecar(path) == {}


def test_a_sidecar_that_came_with_the_file_is_not_believed(
    tmp_path: Path, rng: np.random.Generator, with_sidecars: None
) -> None:
    """Whoever packs a sidecar with a file can set all times of the file but one."""
    arrays, path = people(rng, 50), tmp_path / "a.npz"
    write_npz(path, arrays)
    load_annotations(path)
    arrays["imgname"][3] = "../../b.jpg"
    status = path.stat()
    write_npz(path, arrays)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    with pytest.raises(UserError, match=r"imgname\[3\]"):
        load_annotations(path)


def test_small_files_and_closed_folders_get_no_sidecar(tmp_path: Path, rng: np.random.Generator) -> None:
    write_npz(tmp_path / "a.npz", people(rng, 50))
    load_annotations(tmp_path / "a.npz")
    add_to_sidecar(tmp_path / "none.npz", rules="2")
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
