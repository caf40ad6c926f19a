"""What was found out about a large file is kept beside it, and believed only for that file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from support.annotations import people

from hmr_light.data.annotations import fingerprint, load_annotations
from hmr_light.data.npz import write_npz
from hmr_light.data.sidecar import add_to_sidecar, read_sidecar
from hmr_light.errors import UserError


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
