"""Bodies of random arrays in the formats of SMPL."""

from __future__ import annotations

import contextlib
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from hmr_light.body.joints import SMPL_PARENTS

VERTICES = 40


@contextlib.contextmanager
def modules(**classes: dict[str, type]) -> Iterator[None]:
    """Pretend that packages are installed, so that pickles can be written that name their classes."""
    names = {module.replace("_dot_", "."): content for module, content in classes.items()}
    installed = {name: sys.modules[name] for name in names if name in sys.modules}
    for module, content in names.items():
        sys.modules[module] = types.ModuleType(module)
        for name, cls in content.items():
            cls.__module__, cls.__qualname__, cls.__name__ = module, name, name
            setattr(sys.modules[module], name, cls)
    try:
        yield
    finally:
        for module in names:
            del sys.modules[module]
        sys.modules.update(installed)


class Ch:
    """As chumpy's: a node whose state holds its array in `x`."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


class Select(Ch):
    pass


class csc_matrix:
    """As scipy's was when SMPL was pickled: its state is that of the present class."""

    def __init__(self, matrix: scipy.sparse.csc_matrix) -> None:
        self.__dict__.update(
            data=matrix.data,
            indices=matrix.indices,
            indptr=matrix.indptr,
            _shape=matrix.shape,
            format="csc",
            maxprint=50,
        )


def smpl_arrays(seed: int, betas: int = 10) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    weights = rng.random((VERTICES, 24))
    regressor = rng.random((24, VERTICES)) * (rng.random((24, VERTICES)) < 0.3)
    parents = np.array([4294967295, *SMPL_PARENTS[1:]], np.uint32)
    return {
        "v_template": rng.normal(size=(VERTICES, 3)),
        "f": rng.integers(0, VERTICES, (30, 3)).astype(np.uint32),
        "shapedirs": rng.normal(size=(VERTICES, 3, betas)),
        "posedirs": rng.normal(size=(VERTICES, 3, 207)),
        "J_regressor": regressor,
        "kintree_table": np.stack([parents, np.arange(24, dtype=np.uint32)]),
        "weights": weights / weights.sum(1, keepdims=True),
    }


def write_regressors(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    np.save(folder / "J_regressor_extra.npy", rng.random((9, VERTICES)))
    np.save(folder / "J_regressor_h36m.npy", rng.random((17, VERTICES)))


def write_official_pickle(path: Path, arrays: dict[str, np.ndarray], protocol: int, scipy_module: str) -> None:
    """A pickle as the official ones: chumpy nodes, a CSC matrix, strings beside the arrays, old module names."""
    old = {scipy_module: {"csc_matrix": csc_matrix}}
    with modules(chumpy={}, chumpy_dot_ch={"Ch": Ch}, chumpy_dot_reordering={"Select": Select}, **old):
        content = dict(arrays) | {
            "shapedirs": Ch(x=arrays["shapedirs"], _dirty_vars={"x"}, _itr=None),
            "J_regressor": csc_matrix(scipy.sparse.csc_matrix(arrays["J_regressor"])),
            "v_template": Select(
                a=Ch(x=arrays["v_template"][::-1]),
                idxs=np.arange(3 * VERTICES).reshape(VERTICES, 3)[::-1].ravel(),
                preferred_shape=(VERTICES, 3),
            ),
            "bs_style": "lbs",
            "bs_type": "lrotmin",
            "vert_sym_idxs": np.arange(VERTICES),
            "pose_training_info": {"cost": np.float64(1.5)},
        }
        data = pickle.dumps(content, protocol=protocol)
    path.write_bytes(data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"))
