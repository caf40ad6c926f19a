"""Annotations: what is written is read; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmr_light.data.annotations import NUMBERS, Annotations, fingerprint, load_annotations, save_annotations
from hmr_light.errors import UserError

PEOPLE = 5


def full_arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    arrays = {key: rng.normal(size=(PEOPLE, *shape)).astype(np.float32) for key, shape in NUMBERS.items()}
    arrays["scale"] = rng.uniform(0.1, 3, PEOPLE).astype(np.float32)
    arrays["has_smpl"] = np.array([1, 0, 1, 1, 0], np.uint8)
    arrays["imgname"] = np.array([f"세트/{index:06d}.jpg" for index in range(PEOPLE)])
    arrays["gender"] = np.array(["m", "f", "n", "m", "f"])
    arrays["clip"] = rng.integers(0, 9, PEOPLE)
    arrays["archetype"] = np.array(["walk", "sit", "run", "lie", "reach"])
    return arrays


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("seed", [1, 2])
def test_written_annotations_are_read_back_exactly(tmp_path: Path, seed: int) -> None:
    arrays = full_arrays(seed)
    save_annotations(tmp_path / "a.npz", Annotations.from_arrays(arrays))
    read = load_annotations(tmp_path / "a.npz").to_arrays()
    assert read.keys() == arrays.keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(read[key], value, err_msg=key)


def test_same_annotations_give_the_same_bytes(tmp_path: Path) -> None:
    annotations = Annotations.from_arrays(full_arrays(3))
    for name in ("a.npz", "b.npz"):
        save_annotations(tmp_path / name, annotations)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_annotations_without_3d_are_zeros_with_flag_zero(tmp_path: Path) -> None:
    arrays = {key: value for key, value in full_arrays(4).items() if key in ("imgname", "center", "scale")}
    annotations = load_annotations(write(tmp_path / "a.npz", arrays))
    assert len(annotations) == PEOPLE
    assert not annotations.has_smpl.any()
    assert not annotations.S.any()
    assert annotations.part.shape == (PEOPLE, 24, 3)
    assert set(annotations.gender) == {"n"}


def test_pose_and_shape_without_a_flag_label_everyone() -> None:
    arrays = full_arrays(5)
    del arrays["has_smpl"]
    assert Annotations.from_arrays(arrays).has_smpl.all()


def test_foreign_keys_are_kept_when_they_are_one_entry_a_person_and_ignored_otherwise(tmp_path: Path) -> None:
    arrays = full_arrays(6) | {"camera": np.eye(3), "meta": np.array({"a": 1}, object), "note": np.array("x")}
    assert set(load_annotations(write(tmp_path / "a.npz", arrays)).extras) == {"clip", "archetype"}


FAULTS = {
    "a missing key": ({"scale": None}, "no 'scale'"),
    "a wrong shape": ({"part": np.zeros((PEOPLE, 17, 3))}, r"'part'.*\(5, 17, 3\), not \(N,24,3\)"),
    "another length": ({"pose": np.zeros((PEOPLE + 1, 72))}, "'pose'.*6 entries, 'imgname' has 5"),
    "strings for numbers": ({"center": np.full((PEOPLE, 2), "x")}, "'center'.*not numbers"),
    "numbers for strings": ({"imgname": np.arange(PEOPLE)}, "'imgname'.*not .* strings"),
    "an array of objects": ({"imgname": np.array(["a"] * PEOPLE, object)}, "'imgname'"),
    "labels flagged but not there": ({"pose": None}, "'has_smpl' but not both"),
    "an unknown gender": ({"gender": np.array(["m", "f", "x", "m", "f"])}, r"gender\[2\] = x"),
    "a scale that overflows": (
        {"scale": np.array([1.0, 1, 1, 1e7, 1])},
        r"scale\[3\] = 10000000.0 .*is the size of no box",
    ),
    "a scale that vanishes": ({"scale": np.array([1.0, 1, 1e-40, 1, 1])}, r"scale\[2\] = .*is the size of no box"),
    "a scale of zero": ({"scale": np.array([1.0, 1, 1, 0, 1])}, r"scale\[3\] = 0.0 .*is not positive"),
    "nobody": ({"imgname": np.array([], str)}, "holds no people"),
    "a name alone": ({"imgname": np.array("a.jpg")}, "'imgname'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faulty_file_is_refused_with_what_and_where(tmp_path: Path, fault: str) -> None:
    changes, message = FAULTS[fault]
    arrays = {key: value for key, value in (full_arrays(7) | changes).items() if value is not None}
    path = write(tmp_path / "labels.npz", arrays)
    with pytest.raises(UserError, match=message) as caught:
        load_annotations(path)
    assert "labels.npz" in caught.value.message
    assert caught.value.remedy


@settings(max_examples=40, deadline=None)
@given(
    key=st.sampled_from(list(NUMBERS)),
    value=st.sampled_from([np.nan, np.inf, -np.inf, 1e300]),
    where=st.integers(0, 2**31),
)
def test_first_number_that_is_not_finite_is_named(key: str, value: float, where: int) -> None:
    arrays = {name: array.astype(np.float64) if name in NUMBERS else array for name, array in full_arrays(8).items()}
    place = np.unravel_index(where % arrays[key].size, arrays[key].shape)
    arrays[key][place] = value
    with pytest.raises(UserError) as caught:
        Annotations.from_arrays(arrays)
    index = ", ".join(str(int(axis)) for axis in place)
    assert caught.value.message.startswith(f"{key}[{index}] = {'nan' if np.isnan(value) else ''}")
    assert "is not finite" in caught.value.message


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../secret.jpg", "a/../../b.jpg", "C:\\images\\a.jpg", "a\\..\\..\\b.jpg", "\\\\host\\a", ""],
)
def test_image_path_that_leaves_the_folder_is_refused(name: str) -> None:
    arrays = full_arrays(9)
    arrays["imgname"] = np.array(["a.jpg", "b..c/..d.jpg", name, "d.jpg", "e.jpg"])
    with pytest.raises(UserError, match=r"imgname\[2\]"):
        Annotations.from_arrays(arrays)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(60)])
def test_file_that_is_not_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match="not an npz file"):
        load_annotations(tmp_path / "a.npz")


@pytest.mark.parametrize("part", [0.3, 0.6, 0.95])
def test_truncated_file_is_refused(tmp_path: Path, part: float) -> None:
    save_annotations(tmp_path / "a.npz", Annotations.from_arrays(full_arrays(10)))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: int(len(content) * part)])
    with pytest.raises(UserError, match="not an npz file"):
        load_annotations(tmp_path / "a.npz")


def test_damaged_content_is_refused(tmp_path: Path) -> None:
    save_annotations(tmp_path / "a.npz", Annotations.from_arrays(full_arrays(11)))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npz"):
        load_annotations(tmp_path / "a.npz")


def test_missing_file_and_npy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no annotations at"):
        load_annotations(tmp_path / "none.npz")
    np.save(tmp_path / "a.npy", np.zeros(3))
    with pytest.raises(UserError, match="not an npz file"):
        load_annotations(tmp_path / "a.npy")


def test_fingerprint_depends_on_content_alone(tmp_path: Path) -> None:
    arrays = full_arrays(12)
    original = fingerprint(Annotations.from_arrays(arrays))
    np.savez_compressed(tmp_path / "a.npz", **dict(reversed(arrays.items())))  # type: ignore[arg-type]
    assert fingerprint(load_annotations(tmp_path / "a.npz")) == original

    seen = {original}
    for key, value in arrays.items():
        changed = value.copy()
        changed[-1] = (
            {"imgname": "other.jpg", "gender": "n", "archetype": "stand"}[key]
            if value.dtype.kind == "U"
            else value[-1] + 1
        )
        seen.add(fingerprint(Annotations.from_arrays(arrays | {key: changed})))
    assert len(seen) == 1 + len(arrays)


def test_objects_are_refused_before_anything_is_written() -> None:
    with pytest.raises(UserError, match="'clip'"):
        Annotations.from_arrays(full_arrays(13) | {"clip": np.array([print] * PEOPLE, object)})


def test_the_first_people_of_a_file_are_a_file_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    arrays = {
        "imgname": np.array(["a.jpg", "b.jpg", "c.jpg"]),
        "center": rng.uniform(1, 9, (3, 2)),
        "scale": np.ones(3),
    }
    save_annotations(tmp_path / "x.npz", Annotations.from_arrays(arrays | {"extra": np.arange(3)}))
    every = load_annotations(tmp_path / "x.npz")
    two = every.first(2)
    assert list(two.imgname) == ["a.jpg", "b.jpg"]
    np.testing.assert_array_equal(two.center, every.center[:2])
    assert list(two.extras["extra"]) == [0, 1]
    assert every.first(5) is every
    # What is known of the whole file is not taken for these.
    assert fingerprint(every) != fingerprint(two) == fingerprint(every.first(2))
