"""Huffman codes of bytes (Huffman 1952; canonical, Schwartz and Kallick 1964), decoded by tables in numpy.

A stream of symbols is cut into blocks, and where each block begins is written down, so that all blocks of all streams
are decoded side by side: one step of the loop reads one symbol of every block. No code is longer than `LONGEST` bits
(package-merge, Larmore and Hirschberg, J. ACM 1990), so one look into a table gives a symbol and its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hmr_light.errors import UserError

LONGEST = 12
BLOCK = 1024
"""Symbols that are decoded one after the other."""


@dataclass(frozen=True)
class Stream:
    """Coded symbols, as a file holds them."""

    count: int
    """Symbols."""
    lengths: np.ndarray
    """(256,) uint8: bits of each symbol's code; 0 for a symbol that does not occur."""
    sizes: np.ndarray
    """(⌈count / BLOCK⌉,) uint16: bits of each block."""
    bits: bytes
    """The blocks, without gaps, from the highest bit of a byte down."""


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """The best lengths (256,) uint8, at most `LONGEST`, for symbols that occur `counts` (256,) times; two or more do.

    Package-merge: of all sets of coins whose values sum to n - 1, the cheapest.
    """
    symbols = np.flatnonzero(counts)
    singles = sorted((int(counts[one]), (int(one),)) for one in symbols)
    packages: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(LONGEST):
        merged = sorted([*singles, *packages], key=lambda one: one[0])
        pairs = zip(merged[::2], merged[1::2], strict=False)
        packages = [(first[0] + second[0], first[1] + second[1]) for first, second in pairs]
    lengths = np.zeros(256, np.uint8)
    for _, held in packages[: len(symbols) - 1]:
        np.add.at(lengths, list(held), 1)
    return lengths


def encode(symbols: np.ndarray, counts: np.ndarray) -> Stream:
    """`symbols`, uint8 (n,), coded by the best code for symbols that occur `counts` (256,) times; two or more do."""
    lengths = code_lengths(counts)
    codes = _codes(lengths)
    each = lengths[symbols].astype(np.int64)
    ends = np.cumsum(each)
    starts = ends - each
    bits = np.zeros(int(ends[-1]), np.uint8)
    words = codes[symbols]
    for place in range(int(lengths.max())):
        has = each > place
        bits[starts[has] + place] = (words[has] >> (each[has] - 1 - place)) & 1
    sizes = np.add.reduceat(each, np.arange(0, len(symbols), BLOCK)).astype(np.uint16)
    return Stream(len(symbols), lengths, sizes, np.packbits(bits).tobytes())


def decode(streams: Sequence[Stream]) -> list[np.ndarray]:
    """The symbols of each stream, uint8. Raises `UserError` for lengths that are no code, and for bits that do not fit.

    It takes memory in proportion to the symbols and the bits that are there: a symbol is one bit or more.
    """
    if not streams:
        return []
    tables, firsts, starts, counts = [], [], [], []
    position = 0
    for number, stream in enumerate(streams):
        sizes = stream.sizes.astype(np.int64)
        blocks = -(-stream.count // BLOCK)
        if stream.count < 1 or len(sizes) != blocks or -(-int(sizes.sum()) // 8) != len(stream.bits):
            raise UserError("its coded weights are not as long as it says")
        tables.append(_table(stream.lengths))
        firsts.append(np.full(blocks, number << LONGEST))
        starts.append(8 * position + np.cumsum(sizes) - sizes)
        counts.append(np.minimum(BLOCK, stream.count - BLOCK * np.arange(blocks)))
        if (sizes < counts[-1]).any():
            raise UserError("its coded weights are not as long as it says")
        position += len(stream.bits)
    # A window of 24 bits from each byte on holds the LONGEST bits from each bit of that byte on.
    raw = np.frombuffer(b"".join(stream.bits for stream in streams) + bytes(2 * BLOCK), np.uint8).astype(np.uint32)
    windows = (raw[:-2] << 16) | (raw[1:-1] << 8) | raw[2:]
    table, first = np.concatenate(tables), np.concatenate(firsts)
    start, count = np.concatenate(starts), np.concatenate(counts)

    order = np.argsort(-count, kind="stable")  # so that those blocks that go on are always the first ones
    first, at = first[order], start[order].copy()
    going = np.searchsorted(-count[order], -np.arange(int(count.max())))  # blocks of more symbols than that
    out = np.zeros((int(count.max()), len(order)), np.uint8)
    for step, blocks in enumerate(going):
        now = at[:blocks]
        window = windows[now >> 3] >> (24 - LONGEST - (now & 7)).astype(np.uint32)
        entry = table[first[:blocks] + (window & ((1 << LONGEST) - 1))]
        out[step, :blocks] = entry & 255
        now += entry >> 8
    ends = np.empty_like(at)
    ends[order] = at
    sizes = np.concatenate([stream.sizes for stream in streams])
    if not np.array_equal(ends - start, sizes):
        raise UserError("its coded weights do not fit their code")
    by_block = np.empty((len(order), out.shape[0]), np.uint8)
    by_block[order] = out.T
    edges = np.cumsum([len(one) for one in counts])[:-1]
    parts = np.split(by_block, edges)
    return [part.reshape(-1)[: stream.count] for part, stream in zip(parts, streams, strict=True)]


def _codes(lengths: np.ndarray) -> np.ndarray:
    """The canonical code words (256,) uint16: shorter codes first, of one length by symbol."""
    codes = np.zeros(256, np.uint16)
    code = last = 0
    for symbol in sorted(np.flatnonzero(lengths), key=lambda one: (lengths[one], one)):
        code <<= int(lengths[symbol]) - last
        codes[symbol], last = code, int(lengths[symbol])
        code += 1
    return codes


def _table(lengths: np.ndarray) -> np.ndarray:
    """For every window of `LONGEST` bits, the symbol that it begins with, and from bit 8 up the length of its code."""
    used = np.flatnonzero(lengths)
    if len(used) < 2 or lengths.max() > LONGEST or (1 << (LONGEST - lengths[used].astype(int))).sum() != 1 << LONGEST:
        raise UserError("its code is no Huffman code")
    order = sorted(used, key=lambda one: (lengths[one], one))
    entries = [(int(lengths[one]) << 8) | int(one) for one in order]
    return np.repeat(np.array(entries), [1 << (LONGEST - int(lengths[one])) for one in order])
