"""The file `.hmrz`: a model with its weights coded, exactly; docs/compression.md describes the format.

    magic 8 bytes | length of the header 4 bytes | header | payload | SHA-256 of all before, 32 bytes

The header is JSON, deflated: what a checkpoint holds besides weights, and for each tensor its name, type, shape, coding
and bytes in the payload. Every tensor is coded in one of these ways, each of which gives back the very same bits:

| coding | payload |
|---|---|
| `raw` | the numbers, little-endian |
| `constant` | one number, which they all are; of at most `MOST_CONSTANT` |
| `half` | float32 numbers that float16 holds exactly, coded as float16 in one of the ways below |
| `planes` | for each byte of a number, the bytes of all numbers: raw, or a Huffman stream (`huffman.py`) |

A reader believes no length: nothing is allocated that is larger than the file's bytes allow.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hmr_light.backbones.state_dicts import State
from hmr_light.checkpoints.format import FORMAT, Checkpoint
from hmr_light.checkpoints.huffman import BLOCK, Stream, decode, encode
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

MAGIC = b"HMRZ\r\n\x1a\n"
VERSION = 1
MOST_HEADER = 1 << 22
"""Bytes of a header when inflated."""
MOST_CONSTANT = 1 << 16
_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "int8": torch.int8,
    "int32": torch.int32,
    "bool": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_DAMAGED = "Name another file, or copy or make this one again: it was cut, or changed since it was written."


def is_hmrz(path: Path) -> bool:
    """Whether the file begins as such a file does."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def encoded(checkpoint: Checkpoint) -> bytes:
    """The bytes of the file that holds `checkpoint`; the same ones for the same checkpoint."""
    tensors, payload = [], []
    for name, value in checkpoint.state.items():
        coding, data = _encode_tensor(value)
        tensors.append([name, _NAMES[value.dtype], list(value.shape), coding, len(data)])
        payload.append(data)
    header = {
        "version": VERSION,
        "format": FORMAT,
        "config": checkpoint.config,
        "transforms": list(checkpoint.transforms),
        "epoch": checkpoint.epoch,
        "saved": checkpoint.saved,
        "metrics": checkpoint.metrics,
        "tensors": tensors,
    }
    head = zlib.compress(json.dumps(header, separators=(",", ":")).encode(), 9)
    content = b"".join([MAGIC, struct.pack("<I", len(head)), head, *payload])
    return content + hashlib.sha256(content).digest()


def write_hmrz(path: Path, checkpoint: Checkpoint) -> int:
    """Write `checkpoint` as a `.hmrz`, atomically; returns its bytes."""
    content = encoded(checkpoint)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return len(content)


def read_hmrz(path: Path) -> dict[str, Any]:
    """What the file holds, as `hmr_light.checkpoints.format.read` gives it. Raises `UserError` for any other bytes."""
    try:
        return _decode(path.read_bytes())
    except UserError as error:
        raise UserError(f"{path} cannot be read as a checkpoint: {error.message}", error.remedy or _DAMAGED) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", "Look at its permissions.") from error


def _decode(content: bytes) -> dict[str, Any]:
    if len(content) < len(MAGIC) + 36 or not content.startswith(MAGIC):
        raise UserError("it is cut")
    body, digest = content[:-32], content[-32:]
    if hashlib.sha256(body).digest() != digest:
        raise UserError("its checksum is wrong")
    (length,) = struct.unpack_from("<I", body, len(MAGIC))
    start = len(MAGIC) + 4
    header = _header(body[start : start + length])
    payload = memoryview(body)[start + length :]
    state: State = {}
    parts = []
    at = 0
    for entry in header["tensors"]:
        name, dtype, shape, coding, size = _checked(entry)
        if name in state:
            raise UserError(f"it holds {name} twice")
        state[name] = torch.empty(0)
        parts.append((name, dtype, shape, _Reader(payload[at : at + size]), coding))
        at += size
    if at != len(payload):
        raise UserError("its weights are not as long as it says")
    pending = [_planes(reader, dtype, coding, _count(shape)) for _, dtype, shape, reader, coding in parts]
    streams = [plane for planes in pending for plane in planes if isinstance(plane, Stream)]
    decoded = iter(decode(streams))
    for (name, dtype, shape, _, coding), planes in zip(parts, pending, strict=True):
        columns = [next(decoded) if isinstance(plane, Stream) else plane for plane in planes]
        state[name] = _tensor(columns, dtype, shape, coding)
    return {key: header[key] for key in header.keys() - {"tensors", "version"}} | {"model": state}


def _header(data: bytes) -> dict[str, Any]:
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(data, MOST_HEADER)
        if not inflate.eof or inflate.unused_data:
            raise UserError("its header is too long, or cut")
        header = json.loads(text)
    except (zlib.error, ValueError, RecursionError) as error:
        raise UserError("its header is damaged") from error
    if not isinstance(header, dict) or not isinstance(header.get("tensors"), list):
        raise UserError("its header is damaged")
    version = header.get("version")
    if type(version) is not int or version < 1:
        raise UserError("its header is damaged")
    if version > VERSION:
        raise UserError(f"it is of version {version}", f"This hmr_light reads up to {VERSION}: update it.")
    return header


def _checked(entry: Any) -> tuple[str, str, tuple[int, ...], str, int]:
    """What the header says of one tensor, if it is something that can be."""
    if not isinstance(entry, list) or len(entry) != 5:
        raise UserError("its header is damaged")
    name, dtype, shape, coding, size = entry
    is_shape = isinstance(shape, list) and len(shape) <= 8 and all(type(n) is int and 0 <= n < 2**31 for n in shape)
    if not isinstance(name, str) or dtype not in _DTYPES or not is_shape or type(size) is not int or size < 0:
        raise UserError("its header is damaged")
    if coding not in ("raw", "constant", "planes", "half raw", "half constant", "half planes"):
        raise UserError(f"it codes weights as {coding!r}", "A newer hmr_light may know it.")
    if coding.startswith("half") and dtype != "float32":
        raise UserError("its header is damaged")
    if coding.endswith("constant") and _count(tuple(shape)) > MOST_CONSTANT:
        raise UserError("it has a constant of more numbers than are allowed")
    return name, dtype, tuple(shape), coding, size


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


class _Reader:
    """Takes bytes from the front."""

    def __init__(self, data: memoryview) -> None:
        self.data = data

    def take(self, size: int) -> memoryview:
        if size > len(self.data):
            raise UserError("its weights are shorter than it says")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def array(self, dtype: str, count: int) -> np.ndarray:
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)


def _width(dtype: str, coding: str) -> int:
    return 2 if coding.startswith("half") else _DTYPES[dtype].itemsize


def _planes(reader: _Reader, dtype: str, coding: str, count: int) -> list[np.ndarray | Stream]:
    """Of each byte of a number, the bytes of all numbers, or the stream that they are coded in."""
    width = _width(dtype, coding)
    if coding.endswith("constant"):
        value = reader.array("u1", width)
        planes: list[np.ndarray | Stream] = [np.full(count, one, np.uint8) for one in value]
    elif coding.endswith("raw"):
        numbers = reader.array("u1", width * count).reshape(count, width)
        planes = [numbers[:, place] for place in range(width)]
    else:
        planes = [_plane(reader, count) for _ in range(width)]
    if len(reader.data):
        raise UserError("its weights are longer than it says")
    return planes


def _plane(reader: _Reader, count: int) -> np.ndarray | Stream:
    (symbols,) = reader.array("<u2", 1)
    if not symbols:
        return reader.array("u1", count)
    packed = reader.array("u1", -(-int(symbols) // 2))
    lengths = np.zeros(256, np.uint8)
    if symbols > 256:
        raise UserError("its code is no Huffman code")
    lengths[: int(symbols)] = np.stack((packed >> 4, packed & 15), 1).ravel()[: int(symbols)]
    # A block is a bit or more for each symbol: what is there bounds what may be said.
    sizes = reader.array("<u2", -(-count // BLOCK))
    return Stream(count, lengths, sizes, bytes(reader.take(-(-int(sizes.sum(dtype=np.int64)) // 8))))


def _tensor(planes: list[np.ndarray], dtype: str, shape: tuple[int, ...], coding: str) -> torch.Tensor:
    numbers = np.stack(planes, axis=1) if planes[0].size else np.empty((0, len(planes)), np.uint8)
    kind = torch.float16 if coding.startswith("half") else _DTYPES[dtype]
    flat = torch.from_numpy(np.ascontiguousarray(numbers).reshape(-1))
    if dtype == "bool" and planes[0].size and int(planes[0].max()) > 1:
        raise UserError("its weights are damaged")
    return (
        flat.view(kind).to(_DTYPES[dtype]).reshape(shape) if flat.numel() else torch.empty(shape, dtype=_DTYPES[dtype])
    )


def _encode_tensor(value: torch.Tensor) -> tuple[str, bytes]:
    """How it is coded, and as what."""
    value = value.detach().cpu().contiguous()
    if value.dtype not in _NAMES:
        raise UserError(
            f"weights of the type {value.dtype} cannot be coded", "Code the checkpoint that it was made of."
        )
    if value.dtype == torch.float32:
        half = value.half()
        # By their bits: a zero has a sign, and a number that is none has many forms.
        if torch.equal(half.float().view(torch.int32), value.view(torch.int32)):
            coding, data = _encode_bytes(half)
            return f"half {coding}", data
    return _encode_bytes(value)


def _encode_bytes(value: torch.Tensor) -> tuple[str, bytes]:
    width = value.dtype.itemsize
    numbers = value.reshape(-1).view(torch.uint8).numpy().reshape(-1, width)
    if 0 < len(numbers) <= MOST_CONSTANT and (numbers == numbers[0]).all():
        return "constant", numbers[0].tobytes()
    planes = b"".join(_encode_plane(numbers[:, place]) for place in range(width))
    return ("planes", planes) if len(planes) < numbers.size else ("raw", numbers.tobytes())


def _encode_plane(plane: np.ndarray) -> bytes:
    raw = struct.pack("<H", 0) + plane.tobytes()
    counts = np.bincount(plane, minlength=256)
    if np.count_nonzero(counts) < 2:
        if len(plane) < 2:
            return raw
        counts[(int(plane[0]) + 1) % 256] += 1  # a code needs two symbols; the other one does not occur
    stream = encode(np.ascontiguousarray(plane), counts)
    symbols = int(np.flatnonzero(stream.lengths)[-1]) + 1
    lengths = np.zeros(symbols + symbols % 2, np.uint8)
    lengths[:symbols] = stream.lengths[:symbols]
    packed = (lengths[::2] << 4) | lengths[1::2]
    coded = b"".join([struct.pack("<H", symbols), packed.tobytes(), stream.sizes.astype("<u2").tobytes(), stream.bits])
    return min(coded, raw, key=len)
