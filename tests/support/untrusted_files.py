"""What the fuzz tests share: untrusted files, and what may come of reading one."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hmr_light.errors import UserError

CASES = [30, pytest.param(2000, marks=pytest.mark.slow)]
SECONDS = 20
"""Of CPU, whatever else the machine does; fifteen times as many until something that waits has to end."""
MEGABYTES = 200

CANARY = "HMR_LIGHT_CANARY"


def fuzz(cases: int) -> settings:
    """So many cases, new ones at every run; a failing one is printed."""
    return settings(
        max_examples=cases, deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck)
    )


class _Hang(BaseException):
    pass


@contextlib.contextmanager
def harmless() -> Iterator[None]:
    """Within it: a `UserError` with a message or nothing; nothing is run, it ends, and it takes little memory."""

    def ring(signal_number: int, frame: FrameType | None) -> None:
        raise _Hang(f"more than {SECONDS} s")

    os.environ.pop(CANARY, None)
    before = {number: signal.signal(number, ring) for number in (signal.SIGALRM, signal.SIGPROF)}
    signal.alarm(15 * SECONDS)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    tracemalloc.start()
    told = None
    try:
        yield
    except UserError as error:
        told = error.message
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
    assert told is None or (told.strip() and "Traceback" not in told)
    assert CANARY not in os.environ, "the file ran code"
    assert peak < MEGABYTES << 20, f"{peak >> 20} MB for a small file"


class Payload:
    """Pickled, it is a call that leaves a trace in this process."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, (f"import os; os.environ[{CANARY!r}] = '1'",)


def mutations() -> st.SearchStrategy[list[tuple[str, int, int]]]:
    """One to eight changes of some bytes, to be made by `mutated`."""
    kinds = st.sampled_from(["set", "flip", "cut", "repeat", "insert", "end"])
    where = st.integers(0, 2**31)
    return st.lists(st.tuples(kinds, where, st.integers(0, 2**31)), min_size=1, max_size=8)


def mutated(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """`data` with `changes` made."""
    content = bytearray(data)
    for kind, where, what in changes:
        at, draw = where % (len(content) + 1), random.Random(what)
        if kind == "set" and at < len(content):
            content[at] = what % 256
        elif kind == "flip" and at < len(content):
            content[at] ^= 1 << what % 8
        elif kind == "cut":
            del content[at : at + what % 64]
        elif kind == "repeat":
            content[at:at] = content[at : at + what % 256]
        elif kind == "insert":
            content[at:at] = draw.randbytes(what % 16)
        elif kind == "end" and what % 4 == 0:
            del content[at:]
    return bytes(content)


def mutated_members(data: bytes, changes: list[tuple[str, int, int]], compression: int) -> bytes:
    """A zip file with one member changed and every check sum right, so that it is the content that must be judged."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", compression) as new:
        names = old.namelist()
        chosen = names[changes[0][1] % len(names)]
        for name in names:
            content = old.read(name)
            # Most of what can go wrong is in the first bytes: npy headers, pickles.
            head = 160 if changes[0][2] % 2 else len(content)
            new.writestr(name, mutated(content[:head], changes) + content[head:] if name == chosen else content)
    return out.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
