"""Reading official SMPL pickles without running anything that they contain.

They are Python 2 pickles of numpy arrays, scipy CSC matrices and chumpy nodes. A pickle may name any function to call;
this reader knows the few names that such files need, each replaced by a harmless stand-in, and refuses every other.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.errors import UserError


def read_pickle(path: Path) -> dict[str, Any]:
    """The dict of an SMPL pickle, with arrays in place of its chumpy nodes and sparse matrices.

    Raises `UserError`, naming the class or function, when the file asks for one that is not on the list.
    """
    try:
        with path.open("rb") as file:
            content = _Reader(file, encoding="latin1").load()
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}, not a dict")
        return {str(key): _value(item) for key, item in content.items()}
    except _Refused as refusal:
        raise UserError(
            f"{path} asks for {refusal}, which no SMPL file needs; it was not read, and nothing in it was run",
            "Download the file anew from https://smpl.is.tue.mpg.de, or convert it to npz yourself if you trust it.",
        ) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "Check the path and its permissions.") from error
    except Exception as error:  # a damaged pickle fails in any way
        raise UserError(
            f"{path} is not a readable SMPL pickle: {error}", "Download the file anew from https://smpl.is.tue.mpg.de."
        ) from error


class _Refused(Exception):
    """Not an UnpicklingError, so that the reason is not mistaken for damage."""


class _Reader(pickle.Unpickler):
    """An unpickler for which only the names below exist. They are made anew for each file, so none can alter them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._known = _stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        if full_name not in self._known:
            raise _Refused(full_name)
        return self._known[full_name]


class _Node:
    """What a pickled object becomes: its state, never its methods."""

    kind = ""


def _stand_ins() -> dict[str, Any]:
    chumpy = type("Ch", (_Node,), {"kind": "chumpy"})
    select = type("Select", (_Node,), {"kind": "select"})
    csc = type("csc_matrix", (_Node,), {"kind": "csc"})

    def reconstruct_array(subtype: Any, shape: Any, typecode: Any) -> np.ndarray:
        if subtype is not np.ndarray:
            raise _Refused(f"an array of type {subtype!r}")
        return np.ndarray((0,), dtype="b")  # its state, which follows, brings shape, type and content

    def reconstruct_object(cls: Any, base: Any, state: Any) -> Any:
        if not (isinstance(cls, type) and issubclass(cls, _Node) and base is object):
            raise _Refused(f"an object of type {cls!r}")
        return cls()

    def scalar(dtype: np.dtype, content: Any) -> Any:
        return np.frombuffer(encode(content), dtype=dtype, count=1)[0]

    def encode(text: Any, encoding: str = "latin1") -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise _Refused(f"the text encoding {encoding!r}")
        return text if isinstance(text, bytes) else text.encode("latin1")

    known: dict[str, type | Callable[..., Any]] = {
        "_codecs.encode": encode,
        "numpy.ndarray": np.ndarray,
        "numpy.dtype": np.dtype,
        "copy_reg._reconstructor": reconstruct_object,
        "copyreg._reconstructor": reconstruct_object,
        "collections.OrderedDict": OrderedDict,
        "chumpy.ch.Ch": chumpy,
        "chumpy.reordering.Select": select,
    }
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        known |= {f"{module}._reconstruct": reconstruct_array, f"{module}.scalar": scalar}
    for module in ("__builtin__", "builtins"):
        known |= {f"{module}.object": object, f"{module}.set": set}
    for module in ("scipy.sparse.csc", "scipy.sparse._csc"):
        known[f"{module}.csc_matrix"] = csc
    return known


def _value(item: Any) -> Any:
    """The array behind a chumpy node or a sparse matrix; anything else as it is."""
    if not isinstance(item, _Node):
        return item
    state = vars(item)
    if item.kind == "chumpy":
        return _value(state["x"])
    if item.kind == "select":
        return np.asarray(_value(state["a"])).ravel()[np.asarray(state["idxs"])].reshape(state["preferred_shape"])
    dense = np.zeros(state["_shape"] if "_shape" in state else state["shape"])
    columns = np.repeat(np.arange(dense.shape[1]), np.diff(state["indptr"]))
    np.add.at(dense, (state["indices"], columns), state["data"])
    return dense
