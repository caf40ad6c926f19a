"""Huffman codes: as short as they can be, and decoded as they were coded; what is no code is refused."""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np
import pytest

from hmr_light.checkpoints.huffman import BLOCK, LONGEST, Stream, code_lengths, decode, encode
from hmr_light.errors import UserError


def coded(symbols: np.ndarray) -> Stream:
    return encode(symbols, np.bincount(symbols, minlength=256))


def least_bits(counts: np.ndarray) -> int:
    """The bits of all symbols by Huffman's own algorithm, of code words of any length."""
    heap = [int(count) for count in counts if count]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        pair = heapq.heappop(heap) + heapq.heappop(heap)
        total += pair
        heapq.heappush(heap, pair)
    return total


def test_the_code_is_the_shortest_that_there_is() -> None:
    rng = np.random.default_rng()
    for _ in range(20):
        counts = np.zeros(256, np.int64)
        used = rng.choice(256, rng.integers(2, 200), replace=False)
        # A word of 13 bits needs counts whose sum is 610 times the least of them (Fibonacci's 15th number).
        counts[used] = rng.integers(1 if len(used) < 16 else 13, 40, len(used))
        lengths = code_lengths(counts).astype(int)
        assert (lengths[used] > 0).all()
        assert (lengths > 0).sum() == len(used)
        assert (2.0 ** -lengths[used]).sum() == 1
        assert (counts * lengths).sum() == least_bits(counts)


def test_no_word_is_longer_than_a_table_has_room_for() -> None:
    counts = np.zeros(256, np.int64)
    counts[:40] = np.cumsum(1.7 ** np.arange(40)).astype(np.int64)  # the best code has words of some 39 bits
    lengths = code_lengths(counts).astype(int)
    assert lengths.max() == LONGEST
    assert (2.0 ** -lengths[:40]).sum() == 1
    counts[:] = 1
    assert set(code_lengths(counts)) == {8}


@pytest.mark.parametrize("sizes", [[2], [BLOCK, BLOCK + 1, 3], [5 * BLOCK - 1, 7, 2 * BLOCK]])
def test_streams_are_decoded_as_they_were_coded(sizes: list[int]) -> None:
    rng = np.random.default_rng()
    given = []
    for size in sizes:
        symbols = np.minimum(rng.geometric(rng.uniform(0.02, 0.9), size), 255).astype(np.uint8)
        symbols[:2] = 3, 200
        given.append(symbols)
    streams = [coded(symbols) for symbols in given]
    for symbols, stream, found in zip(given, streams, decode(streams), strict=True):
        assert np.array_equal(found, symbols)
        bits = (stream.lengths.astype(int) * np.bincount(symbols, minlength=256)).sum()
        assert len(stream.bits) == -(-bits // 8)


def test_what_does_not_fit_is_refused() -> None:
    symbols = np.random.default_rng().integers(0, 9, 3000).astype(np.uint8)
    good = coded(symbols)
    other = good.lengths.copy()
    other[good.lengths.argmax()] = 0
    sizes = good.sizes.copy()
    sizes[0] -= 1
    sizes[1] += 1
    for bad in (
        replace(good, lengths=other),
        replace(good, lengths=np.zeros(256, np.uint8)),
        replace(good, lengths=np.full(256, 15, np.uint8)),
        replace(good, count=good.count - 1),
        replace(good, count=2**40),
        replace(good, count=0),
        replace(good, sizes=sizes),
        replace(good, sizes=good.sizes[:-1]),
        replace(good, bits=good.bits[:-1]),
        replace(good, bits=good.bits + b"\0"),
    ):
        with pytest.raises(UserError):
            decode([good, bad])


def test_any_bits_are_read_or_refused() -> None:
    """Flipped bits give other symbols of the same number, or are refused; none makes the reader leave its bytes."""
    rng = np.random.default_rng()
    good = coded(np.minimum(rng.geometric(0.3, 4000), 30).astype(np.uint8))
    refused = 0
    for _ in range(60):
        bits = bytearray(good.bits)
        for place in rng.integers(0, len(bits), 3):
            bits[place] ^= 1 << int(rng.integers(8))
        try:
            assert len(decode([replace(good, bits=bytes(bits))])[0]) == good.count
        except UserError:
            refused += 1
    assert refused
