"""Untrusted annotations, checkpoints and bodies: any bytes give a clear error or a valid result, and run nothing."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.untrusted_files import CASES, Payload, fuzz, harmless, mutated, mutated_members, mutations, write

from hmr_light.body.files import EMBEDDED_BODY, read_body
from hmr_light.checkpoints.format import save
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.data.annotations import Annotations, load_annotations, save_annotations
from hmr_light.errors import UserError


class Reader(NamedTuple):
    """What reads a kind of file, the name such a file has, and the bytes of a valid one."""

    read: Callable[[Path], Any]
    name: str
    valid: bytes


def annotations() -> bytes:
    rng = np.random.default_rng(0)
    arrays = {
        "imgname": np.array([f"{number}.jpg" for number in range(5)]),
        "center": rng.uniform(0, 200, (5, 2)),
        "scale": rng.uniform(0.5, 2, 5),
        "pose": rng.normal(size=(5, 72)),
        "shape": rng.normal(size=(5, 10)),
        "gender": np.array(list("mfnmf")),
        "other": rng.normal(size=(5, 3)),
    }
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def body_pickle() -> bytes:
    """A pickle like SMPL's: arrays and a sparse matrix, without posedirs to be small."""
    import scipy.sparse

    rng = np.random.default_rng(0)
    with np.load(EMBEDDED_BODY) as embedded:
        tree = embedded["kintree_table"]
    count = 30
    content = {
        "v_template": rng.normal(size=(count, 3)),
        "f": rng.integers(0, count, (40, 3)).astype(np.uint32),
        "shapedirs": rng.normal(size=(count, 3, 10)),
        "J_regressor": scipy.sparse.csc_matrix(rng.random((24, count)) * (rng.random((24, count)) > 0.8)),
        "kintree_table": tree,
        "weights": rng.random((count, 24)),
        "J_regressor_extra": rng.random((9, count)),
        "J_regressor_h36m": rng.random((17, count)),
    }
    return pickle.dumps(content, 2)


def body_npz() -> bytes:
    content = pickle.loads(body_pickle())
    content["J_regressor"] = content["J_regressor"].toarray()
    out = io.BytesIO()
    np.savez_compressed(out, **content)
    return out.getvalue()


def checkpoint(folder: Path) -> bytes:
    config = {"backbone": {"name": "squeezenet1_1"}, "regressor": {"name": "spin"}, "data": {"image_size": 64}}
    state = {"weight": torch.arange(12.0).view(3, 4), "count": torch.tensor(3)}
    content = {"format": 1, "config": config, "epoch": 3, "saved": "260101-000000", "metrics": {"mpjpe_mm": 90.0}}
    save(folder / "valid.pt", {**content, "model": state})
    return (folder / "valid.pt").read_bytes()


def read_and_use_annotations(path: Path) -> None:
    people = load_annotations(path)
    assert len(people) > 0
    assert np.isfinite(people.pose).all()
    assert (people.scale > 0).all()
    assert not any(name.startswith("/") or ".." in name.split("/") for name in people.imgname.tolist())


def read_and_use_model(path: Path) -> None:
    content = load_checkpoint(path)
    assert isinstance(content.epoch, int)
    assert isinstance(content.saved, str)
    assert all(isinstance(value, torch.Tensor) for value in content.state.values())
    assert isinstance(content.config["backbone"], dict)


@pytest.fixture(scope="module", params=["annotations", "checkpoint", "body pickle", "body npz"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("valid")
    match request.param:
        case "annotations":
            reader = Reader(read_and_use_annotations, "a.npz", annotations())
        case "checkpoint":
            reader = Reader(read_and_use_model, "a.pt", checkpoint(folder))
        case "body pickle":
            reader = Reader(read_body, "a.pkl", body_pickle())
        case _:
            reader = Reader(read_body, "a.npz", body_npz())
    reader.read(write(folder / reader.name, reader.valid))  # what is mutated below is good to begin with
    return reader


@pytest.mark.parametrize("cases", CASES)
def test_any_bytes(reader: Reader, tmp_path: Path, cases: int) -> None:
    @fuzz(cases)
    @given(st.binary(max_size=300), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x93NUMPY", b"\x80\x02}"]))
    def check(data: bytes, start: bytes) -> None:
        with harmless():
            reader.read(write(tmp_path / reader.name, start + data))

    check()


@pytest.mark.parametrize("cases", CASES)
def test_a_file_with_some_bytes_changed(reader: Reader, tmp_path: Path, cases: int) -> None:
    @fuzz(cases)
    @given(mutations())
    def check(changes: list[tuple[str, int, int]]) -> None:
        with harmless():
            reader.read(write(tmp_path / reader.name, mutated(reader.valid, changes)))

    check()


@pytest.mark.parametrize("cases", CASES)
def test_a_zip_file_with_a_member_changed_and_its_check_sum_right(reader: Reader, tmp_path: Path, cases: int) -> None:
    if not zipfile.is_zipfile(io.BytesIO(reader.valid)):
        pytest.skip("this kind is no zip file")

    @fuzz(cases)
    @given(mutations(), st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    def check(changes: list[tuple[str, int, int]], compression: int) -> None:
        with harmless():
            reader.read(write(tmp_path / reader.name, mutated_members(reader.valid, changes, compression)))

    check()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused(reader: Reader, tmp_path: Path, protocol: int) -> None:
    payload = pickle.dumps({"format": 1, "imgname": Payload(), "v_template": Payload()}, protocol)
    objects = io.BytesIO()
    array = np.array([Payload()], dtype=object)
    np.savez(objects, imgname=array, v_template=array, center=array)
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as file:
        for name, data in {"data.pkl": payload, "version": b"3\n", "byteorder": b"little"}.items():
            file.writestr(f"archive/{name}", data)
    for data in (payload, objects.getvalue(), packed.getvalue(), payload + reader.valid, reader.valid + payload):
        with harmless():
            reader.read(write(tmp_path / reader.name, data))
    with pytest.raises(UserError):
        reader.read(write(tmp_path / reader.name, payload))


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("cases", CASES)
def test_a_checkpoint_of_other_content(tmp_path: Path, cases: int) -> None:
    valid = torch.load(io.BytesIO(checkpoint(tmp_path)), weights_only=True)

    @fuzz(cases)
    @given(st.dictionaries(st.sampled_from(list(valid)), VALUES, min_size=1, max_size=3), st.booleans())
    def check(content: dict[str, Any], complete: bool) -> None:
        torch.save((valid | content if complete else content) | {"format": 1}, tmp_path / "other.pt")
        with harmless():
            read_and_use_model(tmp_path / "other.pt")

    check()


ARRAYS = st.one_of(
    st.builds(
        lambda shape, kind: np.ones(shape, kind),
        st.lists(st.integers(0, 6), max_size=3),
        st.sampled_from(["f4", "f8", ">f4", "i1", "u8", "?", "c8", "S3", "U3", "M8[s]", "V4", "f2", "i4,f4"]),
    ),
    st.lists(st.floats(), max_size=6).map(np.array),
    st.lists(st.text(max_size=6), max_size=6).map(lambda texts: np.array(texts, dtype=str)),
)


@pytest.mark.parametrize("cases", CASES)
def test_annotations_and_bodies_of_other_arrays(tmp_path: Path, cases: int) -> None:
    with np.load(io.BytesIO(annotations())) as file:
        people = dict(file)
    with np.load(io.BytesIO(body_npz())) as file:
        body = dict(file)

    @fuzz(cases)
    @given(
        st.dictionaries(st.sampled_from([*people, "keypoints"]), ARRAYS, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(list(body)), ARRAYS, min_size=1, max_size=3),
    )
    def check(for_people: dict[str, np.ndarray], for_body: dict[str, np.ndarray]) -> None:
        path = tmp_path / "other.npz"
        np.savez(path, **people | for_people)
        with harmless():
            read_and_use_annotations(path)
        np.savez(path, **body | for_body)
        with harmless():
            read_body(path)

    check()


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("count", [1 << 28, 1 << 34, 1 << 50, 1 << 70, -1])
def test_what_is_only_announced_takes_no_memory(tmp_path: Path, count: int, compression: int) -> None:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({count}, 3), }}".encode().ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(1 << 16)
    for name, valid, read in (("scale", annotations(), load_annotations), ("v_template", body_npz(), read_body)):
        with zipfile.ZipFile(io.BytesIO(valid)) as old, zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as new:
            for member in old.namelist():
                new.writestr(member, array if member == f"{name}.npy" else old.read(member))
        with harmless(), pytest.raises(UserError):
            read(tmp_path / "a.npz")
    (tmp_path / "regressor.npy").write_bytes(array)
    with harmless(), pytest.raises(UserError):
        read_body(EMBEDDED_BODY, tmp_path / "regressor.npy")


@pytest.mark.parametrize("key", ["imgname", "gender", "other"])
def test_strings_that_are_no_text_are_told(tmp_path: Path, key: str) -> None:
    with np.load(io.BytesIO(annotations())) as file:
        arrays = dict(file)
    for order in "<>":
        codes = np.array([[120, 0x110000 + number] for number in range(5)], f"{order}u4")
        np.savez(tmp_path / "a.npz", **arrays | {key: codes.view(f"{order}U2")[:, 0]})
        with harmless(), pytest.raises(UserError, match=f"'{key}' in .* holds what is no text"):
            load_annotations(tmp_path / "a.npz")


@pytest.mark.parametrize("cases", CASES)
def test_what_is_written_is_read_back(tmp_path: Path, cases: int) -> None:
    @fuzz(cases // 3)
    @given(st.integers(1, 6), st.integers(0, 2**32 - 1))
    def check(count: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        before = Annotations.from_arrays(
            {
                "imgname": np.array([f"{rng.integers(1 << 40)}.png" for _ in range(count)]),
                "center": rng.normal(size=(count, 2)).astype(np.float32),
                "scale": rng.uniform(0.1, 3, count).astype(np.float32),
            }
        )
        save_annotations(tmp_path / "a.npz", before)
        after = load_annotations(tmp_path / "a.npz")
        for key, value in before.to_arrays().items():
            np.testing.assert_array_equal(after.to_arrays()[key], value)

    check()
