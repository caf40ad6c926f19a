"""Large annotations: mapped where they lie, checked once, and checked again when the file is another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.annotations import PEOPLE, people

from hmr_light.data.annotations import Annotations, load_annotations, save_annotations
from hmr_light.data.npz import NpzFile, write_npz
from hmr_light.errors import UserError


def private_memory() -> int:
    """Bytes that this process has written to and no file backs."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Anonymous:"):
            return 1024 * int(line.split()[1])
    raise AssertionError("no such line")


def test_written_arrays_are_mapped_aligned_and_read_only(tmp_path: Path, rng: np.random.Generator) -> None:
    arrays = {
        "a": rng.random((7, 3)),
        "name": np.array(["가", "나다"]),
        "flags": rng.random(5) < 0.5,
        "none": np.zeros(0),
    }
    arrays["fortran"] = np.asfortranarray(rng.random((4, 5)))
    write_npz(tmp_path / "a.npz", arrays)
    with NpzFile(tmp_path / "a.npz") as file, np.load(tmp_path / "a.npz", allow_pickle=False) as numpys:
        file.verify()
        for name, value in arrays.items():
            read = file.read(name)
            np.testing.assert_array_equal(read, value)
            np.testing.assert_array_equal(numpys[name], value)
            assert not value.size or (read.ctypes.data % 64 == 0 and not read.flags.owndata)
        with pytest.raises(ValueError, match="read-only"):
            file.read("a")[0] = 1


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's account of memory")
def test_opening_takes_no_memory_of_its_own(tmp_path: Path, rng: np.random.Generator, with_sidecars: None) -> None:
    save_annotations(tmp_path / "a.npz", Annotations.from_arrays(people(rng)))
    size = (tmp_path / "a.npz").stat().st_size
    load_annotations(tmp_path / "a.npz")
    before = private_memory()
    labels = [load_annotations(tmp_path / "a.npz") for _ in range(4)]
    assert labels[3].pose[PEOPLE - 1].any()
    assert private_memory() - before < size / 4


@pytest.mark.parametrize("at", [0, 16_383, 16_384, PEOPLE - 1])
def test_faults_are_found_in_every_part_of_a_large_file(at: int, rng: np.random.Generator) -> None:
    for key, value in (("pose", np.inf), ("scale", 0.0), ("gender", "x"), ("imgname", "a/../../b.jpg")):
        arrays = people(rng)
        arrays[key][at] = value
        with pytest.raises(UserError, match=rf"{key}\[{at}[],].*"):
            Annotations.from_arrays(arrays)
