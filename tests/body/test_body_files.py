"""Reading body files: official pickles without running them, npz files, and clear words about what is wrong."""

from __future__ import annotations

import contextlib
import os
import pickle
import struct
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse

from hmr_light.body.files import read_body
from hmr_light.body.joints import SMPL_PARENTS
from hmr_light.body.pickles import read_pickle
from hmr_light.body.smpl import fingerprint, load_body
from hmr_light.errors import UserError

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


@pytest.mark.parametrize(
    ("seed", "protocol", "scipy_module", "betas"),
    [
        (1, 0, "scipy_dot_sparse_dot_csc", 10),
        (2, 2, "scipy_dot_sparse_dot__csc", 300),
        (3, 1, "scipy_dot_sparse_dot_csc", 10),
    ],
)
def test_official_pickle_is_read_like_an_npz_of_the_same_arrays(tmp_path, seed, protocol, scipy_module, betas):
    arrays = smpl_arrays(seed, betas)
    write_regressors(tmp_path, seed)
    write_official_pickle(tmp_path / "SMPL_NEUTRAL.pkl", arrays, protocol, scipy_module)
    np.savez(tmp_path / "same.npz", **arrays)
    from_pickle = read_body(tmp_path / "SMPL_NEUTRAL.pkl")
    assert fingerprint(from_pickle) == fingerprint(read_body(tmp_path / "same.npz"))
    np.testing.assert_allclose(from_pickle["J_regressor"], arrays["J_regressor"], rtol=1e-6)
    np.testing.assert_allclose(from_pickle["shapedirs"], arrays["shapedirs"][:, :, :10], rtol=1e-6)
    assert load_body(tmp_path).name == "SMPL_NEUTRAL"


def test_arrays_that_python_2_wrote_are_read(tmp_path):
    values = np.random.default_rng(4).normal(size=3)
    array = (  # protocol 2 as Python 2 wrote it: the content is a byte string, which Python 3 takes for text
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(I3\ntcnumpy\ndtype\n(U\x02f8I0\nI1\ntR"
        b"(I3\nU\x01<NNNI-1\nI-1\nI0\ntbI00\nU" + struct.pack("B", 24) + values.tobytes() + b"tb"
    )
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02}U\x01a" + array + b"s.")
    np.testing.assert_array_equal(read_pickle(tmp_path / "a.pkl")["a"], values)


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "name"), [(os.system, "system"), (eval, "eval"), (getattr, "getattr"), (np.fromfile, "fromfile")]
)
def test_hostile_pickle_is_refused_by_name_and_nothing_runs(tmp_path, protocol, function, name):
    victim = tmp_path / "victim"
    argument = {
        "system": f"touch {victim}",
        "eval": f"open({str(victim)!r}, 'w')",
        "getattr": str(victim),
        "fromfile": str(victim),
    }[name]
    data = pickle.dumps({"v_template": Calls(function, argument)}, protocol=protocol)
    (tmp_path / "SMPL_NEUTRAL.pkl").write_bytes(data)
    with pytest.raises(UserError, match=rf"{name}.*nothing in it was run"):
        load_body(tmp_path / "SMPL_NEUTRAL.pkl")
    assert not victim.exists()


def test_attributes_of_allowed_names_cannot_be_reached(tmp_path):
    data = b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93)R."
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(UserError, match=r"numpy\.ndarray\.tofile"):
        read_pickle(tmp_path / "a.pkl")


def test_unknown_chumpy_node_is_refused_by_its_name(tmp_path):
    class add(Ch):
        pass

    with modules(chumpy={}, chumpy_dot_ch_ops={"add": add}):
        (tmp_path / "a.pkl").write_bytes(pickle.dumps({"shapedirs": add(a=1)}, protocol=2))
    with pytest.raises(UserError, match=r"chumpy\.ch_ops\.add"):
        read_pickle(tmp_path / "a.pkl")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"f": 1})[:-3]])
def test_damaged_pickle_gets_a_message(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.pkl is not a readable pickle"):
        read_body(tmp_path / "a.pkl")


def test_missing_body_and_regressors_say_where_to_get_them(tmp_path):
    with pytest.raises(UserError, match=r"no body file.*\n.*smpl\.is\.tue\.mpg\.de"):
        load_body(tmp_path / "SMPL_NEUTRAL.pkl")
    with pytest.raises(UserError, match="holds no neutral SMPL body"):
        load_body(tmp_path)
    np.savez(tmp_path / "body.npz", **smpl_arrays(5))
    with pytest.raises(UserError, match=r"J_regressor_extra\.npy.*\n.*SPIN"):
        load_body(tmp_path / "body.npz")
    write_regressors(tmp_path, 5)
    with pytest.raises(UserError, match=r"elsewhere\.npy"):
        load_body(tmp_path / "body.npz", h36m_regressor=tmp_path / "elsewhere.npy")


def test_given_regressor_counts_more_than_the_one_in_the_file(tmp_path):
    rng = np.random.default_rng(6)
    given, inside = rng.random((17, VERTICES)), rng.random((17, VERTICES))
    extra = rng.random((9, VERTICES))
    np.savez(tmp_path / "body.npz", **smpl_arrays(6), J_regressor_extra=extra, J_regressor_h36m=inside)
    np.save(tmp_path / "given.npy", given)
    body = read_body(tmp_path / "body.npz", h36m_regressor=tmp_path / "given.npy")
    np.testing.assert_allclose(body["J_regressor_h36m"], given, rtol=1e-6)
    np.testing.assert_allclose(body["J_regressor_extra"], extra, rtol=1e-6)


def test_absent_pose_directions_are_zeros(tmp_path):
    arrays = smpl_arrays(7)
    del arrays["posedirs"]
    write_regressors(tmp_path, 7)
    np.savez(tmp_path / "body.npz", **arrays)
    assert not read_body(tmp_path / "body.npz")["posedirs"].any()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights", None, "lacks weights"),
        ("weights", np.zeros((VERTICES, 55)), r"weights .* has shape \(40, 55\)"),
        ("shapedirs", np.zeros((VERTICES, 3, 4)), r"shapedirs .* has shape"),
        ("v_template", np.full((VERTICES, 3), np.nan), "v_template .* not finite"),
        ("v_template", np.float64(1), "v_template .* has shape"),
        ("f", np.full((30, 3), VERTICES), "faces .* do not exist"),
        ("kintree_table", np.zeros((2, 24), np.int64), "kintree_table"),
        ("J_regressor", np.array(["a", "b"]), "J_regressor .* not an array of numbers"),
        ("weights", np.ones((VERTICES, 24), complex), "weights .* not an array of numbers"),
        ("J_regressor", np.array([None, {}]), "not a readable npz"),
    ],
)
def test_faulty_npz_is_refused_with_the_array_named(tmp_path, key, value, message):
    arrays: dict[str, Any] = smpl_arrays(8) | {key: value}
    if value is None:
        del arrays[key]
    write_regressors(tmp_path, 8)
    np.savez(tmp_path / "body.npz", **arrays)
    with pytest.raises(UserError, match=message):
        read_body(tmp_path / "body.npz")
