"""Untrusted npy and npz content: read as numpy reads it, or refused before it takes memory."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hmr_light.body.npy import read_array, read_header, read_npz, unpacked_size


def npy(array: np.ndarray, version: tuple[int, int] | None = None) -> io.BytesIO:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    file.seek(0)
    return file


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).normal(size=(3, 4)),
        np.asfortranarray(np.arange(12, dtype=">i2").reshape(3, 4)),
        np.array("neutral"),
        np.zeros((0, 5), bool),
    ],
    ids=["float64", "fortran", "text", "empty"],
)
def test_arrays_come_back_as_they_were(array: np.ndarray, version: tuple[int, int]) -> None:
    file = npy(array, version)
    shape, fortran_order, dtype = read_header(file)
    assert (shape, dtype) == (array.shape, array.dtype)
    assert fortran_order == (array.flags.f_contiguous and not array.flags.c_contiguous)
    file.seek(0)
    found = read_array(file, len(file.getvalue()))
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no valid header"),
        (b"PK\x03\x04", "no valid header"),
        (header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-3,), }\n"), "shape"),
        (header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"), "Python objects"),
        (header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"), "ends before"),
        (header(b"__import__('os').system('true')\n"), "no valid header"),
    ],
)
def test_what_is_no_array_is_refused_without_memory(content: bytes, reason: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=reason):
            read_array(io.BytesIO(content), len(content))
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()


def test_objects_may_be_announced_where_they_are_asked_for() -> None:
    assert read_header(npy(np.array([None])), objects=True)[2] == np.dtype(object)


def test_of_an_npz_the_named_arrays_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=np.ones(3), two=np.zeros(2))
    found = read_npz(tmp_path / "a.npz", ("one", "three"))
    assert list(found) == ["one"]
    np.testing.assert_array_equal(found["one"], np.ones(3))
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:100])
    with pytest.raises(ValueError, match=r"."):
        read_npz(tmp_path / "b.npz", ("one",))
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "c.npz", ("one",))


def test_a_compressed_member_cannot_be_larger_than_deflate_can_make_it() -> None:
    member = zipfile.ZipInfo("a.npy")
    member.file_size, member.compress_size = 10**12, 1000
    assert unpacked_size(member) == 1_032_000
    member.file_size = 50
    assert unpacked_size(member) == 50
