"""npz files whose arrays stay on disk: what is stored uncompressed is mapped into memory in place.

A mapped array costs no memory of its own: its pages are the system's cache of the file, shared by all processes that
read it and given back when memory is short.
"""

from __future__ import annotations

import math
import mmap
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hmr_light.body.npy import read_array, read_header, unpacked_size

_ALIGNMENT = 64
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, …, lengths of the name and of the extra field after it
_ZIP64_BYTES = 20  # the extra field that zipfile adds for members that may pass 4 GiB
_PADDING_TAG = 0xD935  # the extra field by which Android's zipalign pads
_CHUNK = 1 << 24


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `arrays` uncompressed, each at a multiple of 64 bytes. The same arrays give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            assert archive.fp is not None
            start = archive.fp.tell() + _LOCAL_HEADER.size + len(member.filename.encode()) + 4 + _ZIP64_BYTES
            padding = -start % _ALIGNMENT
            member.extra = struct.pack("<HH", _PADDING_TAG, padding) + bytes(padding)
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


class NpzFile:
    """The arrays of an npz file by name: read-only and mapped where they are stored as they are, else read.

    Raises `OSError`, `ValueError`, `EOFError`, `zipfile.BadZipFile` or `zlib.error` for what is not an npz file or a
    damaged one, and `ValueError` for an array of Python objects, which could run code when read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive = zipfile.ZipFile(path)
        self._members = {info.filename.removesuffix(".npy"): info for info in self._archive.infolist()}
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()  # the map lives as long as the arrays do

    @property
    def names(self) -> list[str]:
        """The arrays' names, in the order of the file."""
        return list(self._members)

    def read(self, name: str) -> np.ndarray:
        """One array. What is mapped is not compared with its check sum; see `verify`."""
        try:
            return self._read(name)
        except (RuntimeError, OverflowError, struct.error) as error:  # encrypted, packed in another way, damaged
            raise ValueError(str(error)) from error

    def _read(self, name: str) -> np.ndarray:
        member = self._members[name]
        with self._archive.open(member) as file:
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
                return read_array(file, unpacked_size(member))
            shape, fortran_order, dtype = read_header(file)
            offset = self._start(member) + file.tell()
        count = math.prod(shape)
        if offset + count * dtype.itemsize > len(self._map):
            raise ValueError(f"{name} ends before its {count} entries")
        flat = np.frombuffer(self._map, dtype, count, offset) if count else np.empty(0, dtype)
        return flat.reshape(shape, order="F" if fortran_order else "C")

    def read_objects(self, name: str) -> bytes:
        """The pickle that an array of Python objects is stored as, for a reader that runs nothing in it."""
        with self._archive.open(self._members[name]) as file:
            if not read_header(file, objects=True)[2].hasobject:
                raise ValueError(f"{name} is not an array of Python objects")
            return file.read()

    def verify(self) -> None:
        """Compare the mapped arrays with their check sums; raises `zipfile.BadZipFile`."""
        for name, member in self._members.items():
            if member.compress_type == zipfile.ZIP_STORED:
                start, checksum = self._start(member), 0
                for at in range(start, start + member.file_size, _CHUNK):
                    checksum = zlib.crc32(
                        memoryview(self._map)[at : min(at + _CHUNK, start + member.file_size)], checksum
                    )
                if checksum != member.CRC:
                    raise zipfile.BadZipFile(f"the check sum of {name} is wrong")

    def release(self) -> None:
        """Let go of the pages that reading has brought into this process; they stay in the system's cache."""
        self._map.madvise(mmap.MADV_DONTNEED)

    def _start(self, member: zipfile.ZipInfo) -> int:
        """Where the member's content begins in the file."""
        signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack_from(self._map, member.header_offset)
        if signature != b"PK\x03\x04":
            raise zipfile.BadZipFile(f"{member.filename} is not where the index says")
        return member.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes
