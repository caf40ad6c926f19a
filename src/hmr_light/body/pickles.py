"""Reading pickles of numbers (SMPL's, 3DPW's, …) without running anything that they contain.

A pickle may name any function to call. This reader knows the few names that files of numpy arrays, scipy CSC matrices
and chumpy nodes need, each replaced by a stand-in that only remembers what it was given, and refuses every other. The
arrays are made afterwards, from what the stand-ins remember, and are never larger than the file's own content. What a
few bytes can make endless work of, tuples within tuples that share their parts, is refused before anything looks at it.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import reprlib
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hmr_light.body.nested import refuse_unbounded
from hmr_light.errors import UserError

Plain = Callable[[Any], Any]


def read_pickle(path: Path) -> dict[str, Any]:
    """The dict of a pickle, with arrays in place of its chumpy nodes and sparse matrices; see `load_pickle`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "Check the path and its permissions.") from error
    content = load_pickle(data, path)
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a readable pickle: it holds a {type(content).__name__}, not a dict", _REMEDY)
    return {str(key): value for key, value in content.items()}


def load_pickle(data: bytes, source: Path | str) -> Any:
    """What the pickle `data` of any protocol holds: plain Python values, numpy arrays and numpy scalars.

    Python 2's strings are read as latin1. `source` is named in errors. Raises `UserError`, naming the class or
    function, when the pickle asks for one that is not on the list, and for damaged ones.
    """
    try:
        content = _plain(_Reader(io.BytesIO(data), encoding="latin1").load(), {})
        refuse_unbounded(content)
        return content
    except _Refused as refusal:
        raise UserError(
            f"{source} asks for {refusal}, which no file of numbers needs; it was not read, and nothing in it was run",
            f"{_REMEDY} If you trust it, convert it to npz yourself.",
        ) from None
    except Exception as error:  # a damaged pickle fails in any way
        raise UserError(f"{source} is not a readable pickle: {str(error) or 'it ends too early'}", _REMEDY) from error


_REMEDY = "Fetch the file anew from where it is published (SMPL: https://smpl.is.tue.mpg.de)."


class _Refused(Exception):
    """Not an UnpicklingError, so that the reason is not mistaken for damage."""


class _Reader(pickle._Unpickler):
    """An unpickler for which only the names of `_KNOWN` exist.

    It is Python's own in Python, not the one in C: there a few bytes that announce a length, or a place in the memo,
    of many gigabytes make it take the memory at once.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    read: Callable[[int], bytes]
    append: Callable[[Any], None]

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name not in _KNOWN:
            raise _Refused(full_name)
        return _KNOWN[full_name]

    def load_bytearray8(self) -> None:
        # The one of pickle takes the memory before it looks whether there is so much to read.
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(length)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


def _key(item: Any) -> Any:
    """`item`, if it may be a dict's key or in a set. Refuses those whose hash takes time: that of forty tuples, each
    twice the one before, takes hours."""
    if item is not None and not isinstance(item, str | bytes | int | np.generic | _Node):
        raise _Refused(f"a {type(item).__name__} as a dict's key or in a set")
    return item


def _keys(items: Iterable[Any]) -> list[Any]:
    return [_key(item) for item in items]


def _with_keys_checked(load: Callable[[Any], None], places: slice) -> Callable[[Any], None]:
    def checked(reader: Any) -> None:
        _keys(reader.stack[places])
        load(reader)

    return checked


# Where an opcode finds its keys or members in the stack since the last mark.
for _code, _places in {
    pickle.SETITEM: slice(-2, -1),
    pickle.SETITEMS: slice(0, None, 2),
    pickle.DICT: slice(0, None, 2),
    pickle.ADDITEMS: slice(None),
    pickle.FROZENSET: slice(None),
}.items():
    _Reader.dispatch[_code[0]] = _with_keys_checked(_Reader.dispatch[_code[0]], _places)


class _Set(set[Any]):
    """`set(list)`: how sets are written before protocol 4."""

    __slots__ = ()

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__(_keys(items))


class _Dict(dict[Any, Any]):
    """`OrderedDict(pairs)`: how Python 2 writes one; the items of Python 3's follow by themselves."""

    __slots__ = ()

    def __init__(self, pairs: Iterable[tuple[Any, Any]] = ()) -> None:
        super().__init__([(_key(key), value) for key, value in pairs])


class _Node:
    """What a pickled object becomes: what it was made of and its state. It has none of the object's methods."""

    arguments: tuple[Any, ...]
    state: Any

    def __new__(cls, *arguments: Any) -> _Node:
        node = super().__new__(cls)
        node.arguments, node.state = arguments, None
        return node

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self, plain: Plain) -> Any:
        """The array or value that the object stood for; `plain` gives that of a part."""
        raise _Refused("a type where a value should be")


class _Type(_Node):
    """A class that is only named, as the type of something else."""


class _Object(_Node):
    """`copy_reg._reconstructor(cls, object, None)`: how Python 2 makes an object of `cls`."""

    def value(self, plain: Plain) -> Any:
        cls, base, _ = self.arguments
        if not (isinstance(cls, type) and issubclass(cls, _Node) and base is _Type):
            raise _Refused(f"an object of type {reprlib.repr(cls)}")
        node = cls()
        node.state = self.state
        return node.value(plain)


class _Bytes(_Node):
    """`_codecs.encode(text, "latin1")`: how Python 3 writes bytes for Python 2."""

    def value(self, plain: Plain) -> bytes:
        text, encoding = (*self.arguments, "latin1")[:2]
        if encoding not in ("latin1", "latin-1"):
            raise _Refused(f"the text encoding {reprlib.repr(encoding)}")
        return text.encode("latin1")


class _Dtype(_Node):
    """`numpy.dtype(code, align, copy)`, whose state brings the byte order."""

    def value(self, plain: Plain) -> np.dtype[Any]:
        code = _text(self.arguments[0])
        if not re.fullmatch(r"[|<>=]?([?biufcSU]\d*|O8?)", code):
            raise _Refused(f"numbers of type {code!r}")
        dtype = np.dtype(code.replace("O8", "O"))
        return dtype.newbyteorder(">") if self.state and _text(self.state[1]) == ">" else dtype


class _Array(_Node):
    """`_reconstruct(ndarray, (0,), "b")`, whose state is (version, shape, dtype, is_fortran, content)."""

    def value(self, plain: Plain) -> np.ndarray:
        if self.arguments[0] is not _Type:
            raise _Refused(f"an array of type {reprlib.repr(self.arguments[0])}")
        *_, shape, dtype, is_fortran, content = self.state
        return _array(plain(content), plain(dtype), plain(shape), "F" if is_fortran else "C")


class _Buffer(_Node):
    """`numpy.core.numeric._frombuffer(content, dtype, shape, order)`: an array in protocol 5."""

    def value(self, plain: Plain) -> np.ndarray:
        content, dtype, shape, order = map(plain, self.arguments)
        return _array(content, dtype, shape, order)


class _Scalar(_Node):
    """`numpy.core.multiarray.scalar(dtype, content)`."""

    def value(self, plain: Plain) -> Any:
        dtype, content = map(plain, self.arguments)
        return _array(content, dtype, (1,), "C")[0]


class _Csc(_Node):
    """A scipy CSC matrix: its dense array."""

    def value(self, plain: Plain) -> np.ndarray:
        shape = plain(self.state["_shape"] if "_shape" in self.state else self.state["shape"])
        rows, columns = map(int, shape)
        data, indices, indptr = (_numbers(plain(self.state[key])) for key in ("data", "indices", "indptr"))
        if len(indptr) != columns + 1 or not 0 <= rows * columns <= _LARGEST_DENSE:
            raise ValueError(f"a sparse matrix of {rows} x {columns} with {len(indptr)} column pointers")
        dense = np.zeros((rows, columns))
        np.add.at(dense, (indices, np.repeat(np.arange(columns), np.diff(indptr))), data)
        return dense


class _Chumpy(_Node):
    """A chumpy node that holds its array itself, in `x`."""

    def value(self, plain: Plain) -> Any:
        return plain(self.state["x"])


class _Select(_Node):
    """A chumpy node of some elements of another: a.ravel()[idxs] in a new shape."""

    def value(self, plain: Plain) -> np.ndarray:
        array, indices = (_numbers(plain(self.state[key])) for key in ("a", "idxs"))
        return array.ravel()[indices].reshape(plain(self.state["preferred_shape"]))


class _Transpose(_Node):
    """A chumpy node of another with its axes in another order."""

    def value(self, plain: Plain) -> np.ndarray:
        return np.transpose(_numbers(plain(self.state["a"])), plain(self.state.get("axes")))


_LARGEST_DENSE = 2**26
"""Elements. SMPL's joint regressor has 24 x 6,890."""

_KNOWN: dict[str, type] = {
    "_codecs.encode": _Bytes,
    "numpy.ndarray": _Type,
    "numpy.dtype": _Dtype,
    "copy_reg._reconstructor": _Object,
    "copyreg._reconstructor": _Object,
    "collections.OrderedDict": _Dict,
    "chumpy.ch.Ch": _Chumpy,
    "chumpy.reordering.Select": _Select,
    "chumpy.reordering.transpose": _Transpose,
}
for _package in ("numpy.core", "numpy._core"):
    _KNOWN[f"{_package}.multiarray._reconstruct"] = _Array
    _KNOWN[f"{_package}.multiarray.scalar"] = _Scalar
    _KNOWN[f"{_package}.numeric._frombuffer"] = _Buffer
for _package in ("__builtin__", "builtins"):
    _KNOWN |= {f"{_package}.object": _Type, f"{_package}.set": _Set}
for _package in ("scipy.sparse.csc", "scipy.sparse._csc"):
    _KNOWN |= {f"{_package}.csc_matrix": _Csc, f"{_package}.csc_array": _Csc}


def _numbers(value: Any) -> np.ndarray:
    refuse_unbounded(value)
    return np.asarray(value)


def _plain(item: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    """`item` with values in place of all nodes in it. `done` holds what was met before, with what it became."""
    if id(item) in done:
        return done[id(item)][1]

    def plain(part: Any) -> Any:
        return _plain(part, done)

    value: Any = item
    if isinstance(item, list):
        value = []
        done[id(item)] = item, value  # a list may hold itself
        value += map(plain, item)
    elif isinstance(item, dict):
        value = {}
        done[id(item)] = item, value
        value |= {_key(plain(key)): plain(part) for key, part in item.items()}
    elif isinstance(item, tuple):
        value = tuple(map(plain, item))
    elif isinstance(item, set | frozenset):
        value = set(_keys(map(plain, item)))
    elif isinstance(item, _Node):
        value = item.value(plain)
    elif isinstance(item, type):
        raise _Refused("a type where a value should be")
    done[id(item)] = item, value
    return value


def _array(content: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    """The array (`shape`) of `content`: raw bytes, Python 2's bytes as text, or a list of objects. Always a copy."""
    if not isinstance(dtype, np.dtype):
        raise ValueError(f"an array of type {reprlib.repr(dtype)}")
    if not all(isinstance(side, int) for side in shape):
        raise ValueError(f"an array of shape {reprlib.repr(shape)}")
    count = math.prod(shape)
    if dtype.hasobject:
        if len(content) != count:
            raise ValueError(f"an array {shape} of {len(content)} objects")
        array = np.empty(count, object)
        for index, part in enumerate(content):  # all at once, numpy would look into the parts
            array[index] = part
        return array.reshape(shape, order=order)  # type: ignore[call-overload]
    raw = content.encode("latin1") if isinstance(content, str) else content
    if not dtype.itemsize or len(raw) != count * dtype.itemsize:
        raise ValueError(f"an array {shape} of {len(raw)} bytes")
    return np.frombuffer(raw, dtype).reshape(shape, order=order).copy(order="K")  # type: ignore[call-overload]


def _text(value: Any) -> str:
    if not isinstance(value, str | bytes):
        raise ValueError(f"a {type(value).__name__} where a text should be")
    return value.decode("latin1") if isinstance(value, bytes) else value
