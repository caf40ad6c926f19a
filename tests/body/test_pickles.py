"""The restricted unpickler: forms that users have, written byte by byte, and forms that must come to nothing."""

from __future__ import annotations

import operator
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from hmr_light.body.pickles import load_pickle, read_pickle
from hmr_light.errors import UserError


def python_2_string(text: bytes) -> bytes:
    return (b"U" + struct.pack("<B", len(text)) if len(text) < 256 else b"T" + struct.pack("<i", len(text))) + text


def python_2_array(array: np.ndarray) -> bytes:
    """An array as Python 2's cPickle wrote it with protocol 2."""
    code, order = array.dtype.str[1:].encode(), array.dtype.str[:1].encode()
    shape = b"(" + b"".join(b"J" + struct.pack("<i", side) for side in array.shape) + b"t"
    dtype = b"cnumpy\ndtype\n(" + python_2_string(code) + b"K\x00K\x01tR(K\x03" + python_2_string(order)
    dtype += b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    head = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n(K\x00tU\x01b\x87R(K\x01"
    return head + shape + dtype + b"\x89" + python_2_string(array.tobytes()) + b"tb"


def chumpy_node(cls: bytes, **state: bytes) -> bytes:
    """A chumpy node as its `__getstate__` leaves it: its dict, without the weak references."""
    items = b"".join(python_2_string(key.encode()) + value for key, value in state.items())
    dirty = python_2_string(b"_dirty_vars") + b"c__builtin__\nset\n](" + python_2_string(b"x") + b"e\x85R"
    return b"c" + cls + b"\n)\x81}(" + items + dirty + python_2_string(b"_itr") + b"N" + b"ub"


def python_2_dict(**items: bytes) -> bytes:
    return b"\x80\x02}(" + b"".join(python_2_string(key.encode()) + value for key, value in items.items()) + b"u."


def test_chumpy_state_written_by_hand_is_read_without_chumpy() -> None:
    seed = int(np.random.default_rng().integers(2**31))
    rng = np.random.default_rng(seed)
    values, picks = rng.normal(size=(5, 3, 4)), rng.permutation(60).astype(np.int64)
    inner = chumpy_node(b"chumpy.ch\nCh", x=python_2_array(values))
    content = load_pickle(
        python_2_dict(
            shapedirs=inner,
            big_endian=python_2_array(values.astype(">f4")),
            select=chumpy_node(
                b"chumpy.reordering\nSelect",
                a=inner,
                idxs=python_2_array(picks),
                preferred_shape=b"(K\x0cK\x05t",
            ),
            transposed=chumpy_node(b"chumpy.reordering\ntranspose", a=inner, axes=b"(K\x02K\x00K\x01t"),
            bs_style=python_2_string(b"lbs"),
        ),
        "hand.pkl",
    )
    np.testing.assert_array_equal(content["shapedirs"], values)
    np.testing.assert_array_equal(content["big_endian"], values.astype(np.float32))
    np.testing.assert_array_equal(content["select"], values.ravel()[picks].reshape(12, 5), err_msg=str(seed))
    np.testing.assert_array_equal(content["transposed"], values.transpose(2, 0, 1))
    assert content["bs_style"] == "lbs"


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_protocol_come_back_as_they_were(protocol: int) -> None:
    rng = np.random.default_rng()
    matrix = scipy.sparse.random(24, 60, 0.1, "csc", random_state=rng)
    original = {
        "poses": [rng.normal(size=(4, 72)), np.asfortranarray(rng.normal(size=(3, 5)))],
        "flags": rng.random(7) < 0.5,
        "names": np.array(["a", "bcd"]),
        "scalar": np.float64(1.5),
        "objects": np.array([{"keypoints": rng.random((2, 2))}, None], object),
        "sparse": matrix,
        "nested": OrderedDict(text="é", data=b"\x00\xff", bits={1, 2}, pair=(1, [2.5, None])),
    }
    content = load_pickle(pickle.dumps(original, protocol), "a.pkl")
    for found, expected in zip(content["poses"], original["poses"], strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.flags.writeable
    for key in ("flags", "names", "scalar"):
        np.testing.assert_array_equal(content[key], original[key])
    np.testing.assert_array_equal(content["objects"][0]["keypoints"], original["objects"][0]["keypoints"])
    np.testing.assert_array_equal(content["sparse"], matrix.toarray())
    assert content["nested"] == dict(original["nested"])


def length(opcode: bytes, form: str, value: int) -> bytes:
    return opcode + struct.pack(form, value)


TEN_GB = 10**10
F8 = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR"
OBJECT = b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR"
NOTHING = F8.replace(b"f8", b"S0")
HUGE_SPARSE = python_2_string(b"_shape") + b"J" + struct.pack("<i", 10**9) + b"K\x08\x86"
HUGE_SPARSE += b"".join(
    python_2_string(key) + python_2_array(np.zeros(count, np.int64))
    for key, count in ((b"data", 0), (b"indices", 0), (b"indptr", 9))
)
HUGE = b"(L10000000000L\nt"
EMPTY_ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n(K\x00tU\x01b\x87R"
BOMBS = {
    "text": b"\x80\x04" + length(b"\x8d", "<Q", TEN_GB) + b"abc",
    "bytes": b"\x80\x04" + length(b"\x8e", "<Q", TEN_GB) + b"abc",
    "bytearray": b"\x80\x05" + length(b"\x96", "<Q", TEN_GB) + b"abc",
    "frame": b"\x80\x04" + length(b"\x95", "<Q", TEN_GB) + b"abc",
    "string of Python 2": b"\x80\x02" + length(b"T", "<i", 2**31 - 1) + b"abc",
    "whole number": b"\x80\x02" + length(b"\x8b", "<i", 2**31 - 1) + b"abc",
    "place in the memo": b"\x80\x02N" + length(b"r", "<I", 2**32 - 1) + b".",
    "called array": b"\x80\x02cnumpy\nndarray\n" + HUGE + b"U\x02f8\x86R.",
    "array's shape": b"\x80\x02}U\x01a" + EMPTY_ARRAY + b"(K\x01" + HUGE + F8 + b"\x89U\x08abcdefghtbs.",
    "shape of objects": b"\x80\x02}U\x01a" + EMPTY_ARRAY + b"(K\x01" + HUGE + OBJECT + b"\x89]tbs.",
    "elements of no size": b"\x80\x02}U\x01a" + EMPTY_ARRAY + b"(K\x01" + HUGE + NOTHING + b"\x89U\x00tbs.",
    "sparse matrix": python_2_dict(a=b"cscipy.sparse.csc\ncsc_matrix\n)\x81}(" + HUGE_SPARSE + b"ub"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_announced_lengths_take_no_memory(tmp_path: Path, bomb: str) -> None:
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(BOMBS[bomb])
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"SMPL_NEUTRAL\.pkl"):
            read_pickle(tmp_path / "SMPL_NEUTRAL.pkl")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5e6


TWICE = b"0h\x00h\x00\x86q\x00"  # a tuple of the last one, twice
DEEP = b"K\x01q\x00" + TWICE * 40
DEEP_LIST = DEEP.replace(b"h\x00h\x00\x86", b"](h\x00h\x00e")
ENDLESS = {
    "key": b"\x80\x02}" + DEEP + b"K\x01s.",
    "keys": b"\x80\x02}(" + DEEP + b"K\x01K\x02K\x03u.",
    "dict of the stack": b"\x80\x02(" + DEEP + b"K\x01d.",
    "pairs": b"\x80\x02ccollections\nOrderedDict\n](](" + DEEP + b"K\x01ee\x85R.",
    "members": b"\x80\x04\x8f(" + DEEP + b"\x90.",
    "frozen members": b"\x80\x04(" + DEEP + b"\x91.",
    "called set": b"\x80\x02c__builtin__\nset\n](" + DEEP + b"e\x85R.",
    "key that is an array's": b"\x80\x02}cnumpy.core.multiarray\nscalar\n" + OBJECT + b"](" + DEEP + b"e\x86RK\x01s.",
    "value": b"\x80\x02}U\x01a" + DEEP + b"s.",
    "list": b"\x80\x02}U\x01a" + DEEP_LIST + b"s.",
    "objects": b"\x80\x02}U\x01a" + EMPTY_ARRAY + b"(K\x01K\x01\x85" + OBJECT + b"\x89](" + DEEP + b"etbs.",
    "type of numbers": b"\x80\x02cnumpy\ndtype\n" + DEEP + b"\x85R.",
    "type of array": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n" + DEEP + b"\x85R.",
    "encoding": b"\x80\x02c_codecs\nencode\nU\x01a" + DEEP + b"\x86R.",
    "chumpy's picks": python_2_dict(
        a=chumpy_node(b"chumpy.reordering\nSelect", a=python_2_array(np.zeros(2)), idxs=DEEP, preferred_shape=b")")
    ),
    "list in itself": b"\x80\x02}U\x01a]q\x00(h\x00h\x00es.",
}


def test_tuples_and_lists_that_share_their_parts_are_refused_at_once(tmp_path: Path) -> None:
    """In a process of its own, with 30 s of CPU: a hash or a repr that has begun cannot be interrupted."""
    for name, data in ENDLESS.items():
        (tmp_path / f"{name}.pkl").write_bytes(data)
    program = (
        "import resource\nimport sys\nfrom pathlib import Path\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (30, 30))\n"
        "from hmr_light.body.pickles import read_pickle\nfrom hmr_light.errors import UserError\n"
        "for file in sorted(Path(sys.argv[1]).iterdir()):\n"
        "    try:\n        read_pickle(file)\n    except UserError as error:\n        print(error.message, flush=True)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    said = done.stdout.splitlines()
    assert len(said) == len(ENDLESS), done.stdout
    assert all(
        f"{name}.pkl" in message for name, message in zip(sorted(ENDLESS, key="{}.pkl".format), said, strict=True)
    )
    assert sum("as a dict's key or in a set" in message for message in said) == 8
    assert max(map(len, said)) < 1000 + len(str(tmp_path))


class Call:
    """Pickles as a call of `function`, which may itself be the result of a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def hostile(victim: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would make the file `victim`, were they read by pickle, and the name by which each is refused."""
    touch = f"touch {victim}"
    argument = b"X" + struct.pack("<I", len(touch)) + touch.encode()
    by_import = Call(getattr, Call(__import__, "os"), "system")
    return {
        "a shell": (pickle.dumps({"f": Call(os.system, touch)}, 0), "system"),
        "a process": (pickle.dumps({"f": Call(subprocess.Popen, ["touch", str(victim)])}, 4), r"subprocess\.Popen"),
        "an expression": (pickle.dumps({"f": Call(eval, f"open({str(victim)!r}, 'w')")}, 2), r"\.eval"),
        "a chain": (pickle.dumps({"f": Call(map, by_import, [touch])}, 4), r"builtins\.map"),
        "a method to call": (pickle.dumps({"f": operator.methodcaller("system", touch)}, 2), r"operator\.methodcaller"),
        "an instance of protocol 0": (b"(S'" + touch.encode() + b"'\nios\nsystem\n.", r"os\.system"),
        "a global by stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93" + argument + b"\x85R.", r"os\.system"),
        "a state that is a call": (
            b"\x80\x02cchumpy.ch\nCh\n)\x81cos\nsystem\n" + argument + b"\x85Rb.",
            r"os\.system",
        ),
        "numpy's own loader": (pickle.dumps({"f": Call(np.load, str(victim))}, 2), r"numpy\.load"),
        "a part of an allowed name": (b"\x80\x04\x8c\x05numpy\x8c\x0cdtype.tofile\x93.", r"numpy\.dtype\.tofile"),
    }


@pytest.mark.parametrize("name", hostile(Path("/nowhere")))
def test_whatever_would_run_is_refused_by_name_without_effect(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    data, refused = hostile(victim)[name]
    with pytest.raises(UserError, match=rf"asks for .*{refused}.*nothing in it was run"):
        load_pickle(data, "SMPL_NEUTRAL.pkl")
    assert not victim.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02cnumpy\nndarray\n.",
        b"\x80\x02cnumpy\ndtype\n.",
        b"\x80\x02cnumpy\nndarray\n}U\x08__init__Nsb.",
        b"\x80\x02ccopy_reg\n_reconstructor\nc__builtin__\nset\nc__builtin__\nobject\nN\x87R.",
        b"\x80\x02cchumpy.ch\nCh\n)\x81.",
        b"\x80\x02" + EMPTY_ARRAY + b"(K\x01(K\x01tcnumpy\ndtype\n(U\x03V99K\x00K\x01tR\x89U\x01atb.",
    ],
)
def test_allowed_names_used_in_another_way_give_nothing(data: bytes) -> None:
    with pytest.raises(UserError, match=r"a\.pkl"):
        load_pickle(data, "a.pkl")
