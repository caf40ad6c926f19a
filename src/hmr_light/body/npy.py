"""Reading untrusted npy and npz files: no code in them is run, and no memory is taken before its content is there."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

DEFLATE_RATIO = 1032
"""The most that deflate can make of a byte (zlib's technical notes, "Maximum Compression Factor")."""

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_header(file: IO[bytes], *, objects: bool = False) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran's order, and type of the array that follows; Python objects only if `objects`.

    Raises `ValueError` if there is none.
    """
    try:
        shape, fortran_order, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    except Exception as error:  # numpy parses it as Python's literals, which fail in many ways
        raise ValueError(f"it has no valid header ({type(error).__name__})") from error
    if dtype.hasobject and not objects:
        raise ValueError("it holds Python objects")
    if any(side < 0 for side in shape):
        raise ValueError(f"it has the shape {shape}")
    return shape, fortran_order, dtype


def read_array(file: IO[bytes], size: int) -> np.ndarray:
    """The array of an npy file of at most `size` bytes. Raises `ValueError` if there is none, or not all of it."""
    shape, _, dtype = read_header(file)
    if file.tell() + math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"it ends before its {math.prod(shape)} entries")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def unpacked_size(member: zipfile.ZipInfo) -> int:
    """The most bytes that a member of a zip file can have, whatever it says."""
    return min(member.file_size, DEFLATE_RATIO * member.compress_size)


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of an npz file that are among `names`. Raises `ValueError` for any other file, `OSError` for none."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            arrays = {}
            for name in names:
                if name in members:
                    with archive.open(members[name]) as file:
                        arrays[name] = read_array(file, unpacked_size(members[name]))
            return arrays
    except (OSError, ValueError):
        raise
    except Exception as error:  # damaged zip files fail in many ways
        raise ValueError(str(error) or type(error).__name__) from error
