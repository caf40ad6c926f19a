"""The coded file: the very same bits come back, and hostile bytes are refused with a message, however they lie."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.untrusted_files import CASES, fuzz, harmless, mutated, mutations, write

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.hmrz import MAGIC, MOST_CONSTANT, encoded, write_hmrz
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.errors import UserError

CONFIG = {"backbone": {"name": "squeezenet1_1"}, "regressor": {"name": "spin"}, "data": {"image_size": 64}}


def checkpoint(state: dict[str, torch.Tensor], **more: Any) -> Checkpoint:
    values = {"epoch": 3, "saved": "260101-000000", "metrics": {"mpjpe_mm": 90.25}} | more
    return Checkpoint(Path("a.pt"), CONFIG, state=state, **values)


def some_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(int(np.random.default_rng().integers(2**31)))
    codes = torch.distributions.Geometric(0.2).sample((40, 64)).clamp(max=63).to(torch.uint8)
    return {
        "indices": codes,
        "float": torch.randn(30, 7),
        "half": torch.randn(500).half().float(),
        "float16": torch.randn(300).half(),
        "signed zero": torch.tensor([0.0, -0.0, 1.0]),
        "not finite": torch.tensor([torch.inf, -torch.inf, torch.nan, 1e-45, 3e38]),
        "ones": torch.ones(1000),
        "zeros": torch.zeros(MOST_CONSTANT + 5),
        "count": torch.tensor(12345678901),
        "flag": torch.tensor([True, False]),
        "bytes": torch.randint(-128, 128, (2000,), dtype=torch.int8),
        "whole": torch.randint(-(2**31), 2**31 - 1, (50,), dtype=torch.int32),
        "empty": torch.empty(0, 4),
        "columns": torch.randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last),
        "name with ümlaut and .": torch.randn(1),
    }


def test_the_very_same_bits_come_back(tmp_path: Path) -> None:
    state = some_state()
    given = checkpoint(state, transforms=({"name": "sparse", "options": {"layers": ["a", "b"]}},))
    size = write_hmrz(tmp_path / "a.hmrz", given)
    assert size == (tmp_path / "a.hmrz").stat().st_size
    read = load_checkpoint(tmp_path / "a.hmrz")
    assert (read.config, read.epoch, read.saved, read.metrics) == (CONFIG, 3, "260101-000000", {"mpjpe_mm": 90.25})
    assert read.transforms == given.transforms
    assert list(read.state) == list(state)
    for name, value in state.items():
        other = read.state[name]
        assert (other.dtype, other.shape) == (value.dtype, value.shape), name
        assert other.contiguous().numpy().tobytes() == value.contiguous().numpy().tobytes(), name
    assert encoded(read) == encoded(given) == (tmp_path / "a.hmrz").read_bytes()


def test_what_the_weights_do_not_need_takes_no_room() -> None:
    def size(**state: torch.Tensor) -> int:
        return len(encoded(checkpoint(state)))

    nothing = size(a=torch.zeros(1))
    draw = torch.Generator().manual_seed(0)
    values = torch.randint(0, 64, (100_000,), generator=draw, dtype=torch.uint8)
    assert size(a=torch.full((60_000,), 0.5)) < nothing + 10
    assert size(a=values) == pytest.approx(nothing + 75_000, rel=0.01)
    assert size(a=values.float() / 64) < 0.5 * 4 * len(values)
    mostly = torch.where(torch.rand(100_000, generator=draw) < 0.7, 0, values)
    bits = -sum(p * np.log2(p) for p in np.bincount(mostly, minlength=64) / 1e5 if p)
    assert size(a=mostly) < nothing + 1.12 * bits * 1e5 / 8, "near the entropy"


def signed(head: bytes, payload: bytes = b"", magic: bytes = MAGIC, length: int | None = None) -> bytes:
    """A file whose checksum is right, so that its content must be judged."""
    body = magic + struct.pack("<I", len(head) if length is None else length) + head + payload
    return body + hashlib.sha256(body).digest()


def parts(content: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack_from("<I", content, len(MAGIC))
    start = len(MAGIC) + 4
    return json.loads(zlib.decompress(content[start : start + length])), content[start + length : -32]


def with_header(content: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    header, payload = parts(content)
    change(header)
    return signed(zlib.compress(json.dumps(header).encode()), payload)


def read(path: Path) -> None:
    content = load_checkpoint(path)
    assert all(isinstance(value, torch.Tensor) for value in content.state.values())


@pytest.fixture(scope="module")
def valid() -> bytes:
    state = some_state()
    return encoded(checkpoint({name: state[name] for name in ("indices", "float", "half", "count", "ones")}))


@pytest.mark.parametrize("cases", CASES)
def test_any_bytes_and_any_change(valid: bytes, tmp_path: Path, cases: int) -> None:
    @fuzz(cases)
    @given(mutations(), st.binary(max_size=200), st.integers(0, 3))
    def check(changes: list[tuple[str, int, int]], data: bytes, way: int) -> None:
        header, payload = parts(valid)
        text = json.dumps(header).encode()
        content = [
            mutated(valid, changes),
            MAGIC + data,
            signed(zlib.compress(text), mutated(payload, changes)),
            signed(zlib.compress(mutated(text, changes)), payload),
        ][way]
        with harmless():
            read(write(tmp_path / "a.hmrz", content))

    check()


NUMBERS = st.integers(-5, 2**70) | st.sampled_from([2**31 - 1, 2**31, 2**63, 1e300, None, True, "9", [1]])


@pytest.mark.parametrize("cases", CASES)
def test_headers_that_lie(valid: bytes, tmp_path: Path, cases: int) -> None:
    """Sizes that are announced are not believed."""
    codings = st.sampled_from(["raw", "constant", "planes", "half raw", "half constant", "half planes", "code", 3])
    fields = st.one_of(
        st.tuples(st.just(1), st.sampled_from(["float32", "int64", "bool", "uint8", "float64", 1])),
        st.tuples(st.just(2), st.lists(NUMBERS, max_size=9)),
        st.tuples(st.just(3), codings),
        st.tuples(st.just(4), NUMBERS),
        st.tuples(st.just(0), st.sampled_from(["indices", "", 5, None])),
    )

    @fuzz(cases)
    @given(st.integers(0, 4), st.lists(fields, min_size=1, max_size=3))
    def check(tensor: int, changes: list[tuple[int, Any]]) -> None:
        def lie(header: dict[str, Any]) -> None:
            for field, value in changes:
                header["tensors"][tensor][field] = value

        with harmless():
            read(write(tmp_path / "a.hmrz", with_header(valid, lie)))

    check()


def test_what_is_said_of_files_that_are_none(valid: bytes, tmp_path: Path) -> None:
    bomb = zlib.compress(b" " * (1 << 28), 9)
    deep = zlib.compress(b"[" * 1_000_000)
    huge = [["a", "float32", [2**30, 2**30], "half constant", 2]]
    for content, says in {
        valid[:-1]: "its checksum is wrong",
        valid[:30]: "it is cut",
        valid[:-40] + b"\0" + valid[-39:]: "its checksum is wrong",
        signed(bomb): "its header is too long",
        signed(deep): "its header is damaged",
        signed(b""): "its header is too long, or cut",
        signed(zlib.compress(b"{}")): "its header is damaged",
        signed(zlib.compress(b'{"tensors": []}'), length=2**32 - 1): "its header is damaged",
        with_header(valid, lambda header: header.update(version=9)): "it is of version 9",
        with_header(valid, lambda header: header.update(tensors=huge)): "a constant of more numbers than are allowed",
        with_header(valid, lambda header: header["tensors"].pop()): "not as long as it says",
        with_header(valid, lambda header: header["tensors"].append(header["tensors"][0])): "holds indices twice",
        with_header(valid, lambda header: header.pop("config")): "it lacks 'config'",
        with_header(valid, lambda header: header.update(transforms=[{"name": "x", "options": {}}])): "transform 'x'",
        with_header(valid, lambda header: header.update(format=7)): "format 7",
    }.items():
        with harmless(), pytest.raises(UserError, match=says):
            read(write(tmp_path / "a.hmrz", content))


def test_weights_of_a_type_that_has_no_place_are_refused() -> None:
    with pytest.raises(UserError, match=r"weights of the type torch.complex64 cannot be coded"):
        encoded(checkpoint({"a": torch.zeros(2, dtype=torch.complex64)}))
