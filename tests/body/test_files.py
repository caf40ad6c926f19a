"""Reading body files: official pickles without running them, npz files, and clear words about what is wrong."""

from __future__ import annotations

import os
import pickle
import re
import struct
import zipfile
from typing import Any

import numpy as np
import pytest
from support.bodies import (
    VERTICES,
    Ch,
    modules,
    smpl_arrays,
    write_official_pickle,
    write_regressors,
)

from hmr_light.body.files import read_body
from hmr_light.body.pickles import read_pickle
from hmr_light.body.smpl import fingerprint, load_body
from hmr_light.errors import UserError


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


@pytest.mark.parametrize("content", [b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"f": 1})[:-3]])
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
        ("weights", np.zeros((VERTICES, 54)), r"weights .* has shape \(40, 54\)"),
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


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")


@pytest.mark.parametrize("name", ["SMPL_NEUTRAL.pkl", "SMPL_NEUTRAL.npz", "body"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "is empty"),
        (b"\n<!DOCTYPE html><html><body>Please log in</body></html>", "is a web page.*asks you to log in"),
        (b"version https://git-lfs.github.com/spec/v1", "pointer of Git LFS"),
        (b"\x1f\x8b\x08", "is compressed"),
        (b"%PDF-1.7", "is a PDF document"),
        (
            ["SMPL_python_v.1.1.0/smpl/models/basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl"],
            "is a zip archive.*\n.*Unpack",
        ),
        (["epoch-001/data.pkl", "epoch-001/version"], r"is a file of torch\.save"),
    ],
)
def test_a_file_of_another_kind_is_called_what_it_is(tmp_path, name, content, kind):
    path = tmp_path / name
    if isinstance(content, list):
        zipped(path, *content)
    else:
        path.write_bytes(content)
    with pytest.raises(UserError, match=kind):
        read_body(path)


@pytest.mark.parametrize(
    ("joints", "pose_directions", "model"),
    [(55, 27, "SMPL-X"), (52, 459, "SMPL+H"), (16, 135, "MANO"), (5, 36, "FLAME"), (24, 93, "STAR")],
)
def test_another_body_model_is_called_by_its_name(tmp_path, joints, pose_directions, model):
    arrays = smpl_arrays(9) | {
        "weights": np.zeros((VERTICES, joints)),
        "J_regressor": np.zeros((joints, VERTICES)),
        "kintree_table": np.zeros((2, joints), np.int64),
        "posedirs": np.zeros((VERTICES, 3, pose_directions)),
    }
    np.savez(tmp_path / "model.npz", **arrays)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(arrays, protocol=2))
    for file in ("model.npz", "model.pkl"):
        with pytest.raises(UserError, match=rf"is a body of {re.escape(model)}, not of SMPL"):
            read_body(tmp_path / file)


def test_a_folder_of_another_body_model_says_so(tmp_path):
    (tmp_path / "SMPLX_NEUTRAL.npz").touch()
    with pytest.raises(UserError, match=r"holds no neutral SMPL body, and SMPLX_NEUTRAL.npz is of another body model"):
        load_body(tmp_path)


def test_a_name_of_the_wrong_kind_does_not_matter(tmp_path):
    arrays = smpl_arrays(10)
    write_regressors(tmp_path, 10)
    np.savez(tmp_path / "right.npz", **arrays)
    (tmp_path / "right.npz").rename(tmp_path / "SMPL_MALE.pkl")
    (tmp_path / "SMPL_FEMALE.npz").write_bytes(pickle.dumps(arrays, protocol=2))
    assert fingerprint(read_body(tmp_path / "SMPL_MALE.pkl")) == fingerprint(read_body(tmp_path / "SMPL_FEMALE.npz"))
