"""Labels on disk: the npz files of SPIN (Kolotouros et al., ICCV 2019). Every source of data is converted into them.

Pixel coordinates, here and everywhere: x to the right, y down, and (0, 0) is the *centre* of the top left pixel, as in
OpenCV. The image as a whole spans -0.5 to width - 0.5.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from hmr_light.config.makers import make_remedy
from hmr_light.data.npz import NpzFile, write_npz
from hmr_light.data.sidecar import add_to_sidecar, read_sidecar
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

NUMBERS: dict[str, tuple[int, ...]] = {
    "center": (2,),
    "scale": (),
    "part": (24, 3),
    "openpose": (25, 3),
    "S": (24, 4),
    "pose": (72,),
    "shape": (10,),
    "has_smpl": (),
}
"""The numeric keys of a file and the shape of one person's entry."""
REQUIRED = ("imgname", "center", "scale")
KEYS = ("imgname", "gender", *NUMBERS)
GENDERS = ("f", "m", "n")
_NOT_ARRAYS = ("extras", "faulty", "file")
# After this many reads, a process releases the pages of a mapped file, which would be counted as its own memory.
READS_BETWEEN_RELEASES = 8
# People that are checked together, so that checking a large file takes little memory.
_CHUNK = 1 << 14
# The version of the checks below that a sidecar says a file has passed.
_RULES = "2"
# A box of more than 20 million pixels a side, or of less than a thousandth, is a mistake; squares of such overflow.
_SCALES = (1e-5, 1e5)


@dataclass(frozen=True)
class Annotations:
    """The labels of N people, each in one image. What a file lacks is zeros, with confidence or flag 0.

    Make it with `load_annotations` or `from_arrays`, which check every number once.
    """

    imgname: np.ndarray
    """(N,) str: path of the image, relative to the folder of images, with forward slashes."""
    center: np.ndarray
    """(N,2) float32: centre of the person's box, pixels."""
    scale: np.ndarray
    """(N,) float32: side of the person's square box / 200, pixels."""
    part: np.ndarray
    """(N,24,3) float32: x, y in pixels, and confidence, of the 24 ground truth joints (`J24_NAMES`)."""
    openpose: np.ndarray
    """(N,25,3) float32: the same of OpenPose's 25 joints, as detected."""
    S: np.ndarray
    """(N,24,4) float32: x, y, z in metres relative to the root, camera frame, and confidence, of the 24 joints."""
    pose: np.ndarray
    """(N,72) float32: SMPL's 24 rotations, axis-angle; the root's is in the camera frame."""
    shape: np.ndarray
    """(N,10) float32: SMPL's betas."""
    has_smpl: np.ndarray
    """(N,) bool: whether `pose` and `shape` are labels. Without this key, they are labels for all."""
    gender: np.ndarray
    """(N,) str: 'm', 'f', or 'n' where not known."""
    extras: dict[str, np.ndarray] = field(default_factory=dict)
    """What else a file says of each person, (N, ...), by key. Only numbers and strings."""
    faulty: dict[int, str] = field(default_factory=dict)
    """What is wrong with the entries of people who cannot be used, by index; see `load_annotations`."""
    file: NpzFile | None = None
    """The file that they were read from. The arrays may be parts of it that are mapped into memory, read-only."""

    def __len__(self) -> int:
        return len(self.imgname)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        source: Path | str = "annotations",
        *,
        passed: bool = False,
        keep_faulty: bool = False,
    ) -> Annotations:
        """The annotations that `arrays` hold by the names of the file's keys; `source` is named in errors.

        Raises `UserError` for a missing key, a wrong shape or length, a number that is not finite, a scale that is no
        box's, an unknown gender, and a path that is absolute or leads out of the folder of images. Where `passed`, the
        entries have been looked at before and only the arrays' types and shapes are. With `keep_faulty`, a faulty
        number is noted in `faulty` instead.
        """
        for key in REQUIRED:
            if key not in arrays:
                raise UserError(
                    f"{source} has no '{key}'; it has {', '.join(sorted(arrays)) or 'no arrays'}",
                    f"Annotations need {', '.join(REQUIRED)}; see data/README.md.",
                )
        if not passed:
            for key, value in arrays.items():
                _check_letters(np.asarray(value), key, source)
        imgname = _strings(arrays["imgname"], "imgname", source)
        count = len(imgname)
        if count == 0:
            raise UserError(f"{source} holds no people", "Convert or render the dataset again.")
        columns: dict[str, Any] = {
            key: _numbers(arrays[key], key, (count, *shape), source)
            if key in arrays
            else np.zeros((count, *shape), np.float32)
            for key, shape in NUMBERS.items()
        }
        faulty: dict[int, str] = {}
        if not passed:
            refuse_paths(imgname, "imgname", source)
            for key, bad, problem in (
                *((key, _not_finite, "is not finite") for key in NUMBERS if key in arrays),
                ("scale", _not_positive, "is not positive"),
                ("scale", _no_size, "is the size of no box"),
            ):
                if keep_faulty:
                    for entry in _first_of_each(bad, columns[key]):
                        faulty.setdefault(entry[0], f"{_place(key, entry, columns[key], source)} {problem}")
                else:
                    _refuse_first(bad, key, columns[key], problem, source)
        labelled = "pose" in arrays and "shape" in arrays
        if "has_smpl" not in arrays:
            columns["has_smpl"] = np.full(count, labelled)
        elif columns["has_smpl"].any() and not labelled:
            raise UserError(
                f"{source} has 'has_smpl' but not both 'pose' and 'shape'", "Add them, or set has_smpl to 0."
            )
        columns["has_smpl"] = columns["has_smpl"].astype(bool, copy=False)

        gender = _strings(arrays["gender"], "gender", source) if "gender" in arrays else np.full(count, "n")
        _check_length(gender, "gender", count, source)
        if not passed:
            unknown = f"is none of {', '.join(GENDERS)}"
            _refuse_first(lambda part: ~np.isin(part, GENDERS), "gender", gender, unknown, source)
        extras = {key: np.asarray(value) for key, value in arrays.items() if key not in KEYS}
        for key, value in extras.items():
            _check_length(value, key, count, source)
            if value.dtype.hasobject:
                raise UserError(f"'{key}' in {source} holds Python objects", "Save numbers or strings.")
        gender = gender.astype("<U1", copy=False)
        return cls(imgname=imgname, gender=gender, extras=extras, faulty=faulty, **columns)

    def first(self, count: int) -> Annotations:
        """The first `count` people, all of them if there are fewer."""
        if count >= len(self):
            return self
        columns = {item.name: getattr(self, item.name)[:count] for item in fields(self) if item.name not in _NOT_ARRAYS}
        extras = {key: value[:count] for key, value in self.extras.items()}
        return Annotations(
            **columns, extras=extras, faulty={index: one for index, one in self.faulty.items() if index < count}
        )

    def take(self, indices: np.ndarray) -> Annotations:
        """The people `indices` (K,), in this order."""
        columns = {
            item.name: getattr(self, item.name)[indices] for item in fields(self) if item.name not in _NOT_ARRAYS
        }
        places = {index: place for place, index in enumerate(indices.tolist())}
        return Annotations(
            **columns,
            extras={key: value[indices] for key, value in self.extras.items()},
            faulty={places[index]: one for index, one in self.faulty.items() if index in places},
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The arrays by the names of the file's keys, extras included."""
        named = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _NOT_ARRAYS}
        return named | self.extras


def load_annotations(path: Path, *, keep_faulty: bool = False) -> Annotations:
    """Open a file of annotations. Raises `UserError` that names what is wrong and where.

    With `keep_faulty`, people with a number that is not finite or a box without a size are no error but in `faulty`.
    A file that `save_annotations` wrote is mapped into memory. The first time, all of it is checked; of a large one
    that is noted beside it, and from then on opening takes no longer than for a small one.
    """
    if not path.is_file():
        raise UserError(f"there are no annotations at {path}", make_remedy("", path))
    passed = read_sidecar(path).get("rules") == _RULES
    try:
        with NpzFile(path) as file:
            arrays = _read_arrays(file, path)
            if not passed:
                file.verify()
            # Other programs add keys that are not one entry a person; those are left out.
            people = len(np.atleast_1d(arrays.get("imgname", ())))
            ours = {key: value for key, value in arrays.items() if key in KEYS or value.shape[:1] == (people,)}
            annotations = Annotations.from_arrays(ours, path, passed=passed, keep_faulty=keep_faulty)
            annotations = replace(annotations, file=file)
            file.release()
    except (OSError, ValueError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is not an npz file, or a damaged one: {error}", "Make or fetch it again.") from None
    if not passed and not annotations.faulty:
        add_to_sidecar(path, rules=_RULES)
    return annotations


def save_annotations(path: Path, annotations: Annotations) -> None:
    """Write annotations atomically and uncompressed; the same annotations give the same bytes."""
    with atomic_write(path) as temporary:
        write_npz(temporary, annotations.to_arrays())


def fingerprint(annotations: Annotations) -> str:
    """SHA-256, hex, of everything the annotations say, whatever the order and the compression of the file's keys."""
    if annotations.file and (known := read_sidecar(annotations.file.path).get("fingerprint")):
        return known
    digest = hashlib.sha256()
    for key, value in sorted(annotations.to_arrays().items()):
        text = value.dtype.kind in "US"
        kind = "str" if text else value.dtype.newbyteorder("=").name
        length = sum(map(len, _pieces(value))) if text else value.nbytes
        digest.update(f"{key} {kind} {value.shape} {length}\n".encode())
        for piece in _pieces(value):
            digest.update(piece)
    if annotations.file:
        annotations.file.release()
        add_to_sidecar(annotations.file.path, fingerprint=digest.hexdigest())
    return digest.hexdigest()


def _pieces(value: np.ndarray) -> Iterator[bytes]:
    """The content of an array in pieces: numbers as they are, strings in UTF-8 with NUL between them."""
    for start in range(0, len(value), _CHUNK):
        part = value[start : start + _CHUNK]
        if value.dtype.kind in "US":
            yield ("\0" if start else "").encode() + "\0".join(part.ravel().astype(str)).encode()
        else:
            yield np.ascontiguousarray(part).tobytes()


def _read_arrays(file: NpzFile, path: Path) -> dict[str, np.ndarray]:
    arrays = {}
    for key in file.names:
        try:
            arrays[key] = file.read(key)
        except ValueError as error:
            # Pickled Python objects could run code when read. Keys that are not ours are left out then.
            if key in KEYS:
                raise UserError(f"'{key}' in {path}: {error}", "Save it as an array without objects.") from None
    return arrays


def _strings(value: np.ndarray, key: str, source: Path | str) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind == "S":
        value = np.char.decode(value, "utf-8")
    if value.dtype.kind != "U" or value.ndim != 1:
        raise UserError(f"'{key}' in {source} is {_describe(value)}, not (N,) of strings", "Save one string a person.")
    return value


def _check_letters(value: np.ndarray, key: str, source: Path | str) -> None:
    """Refuse strings of numbers that are no letters: Python fails where it meets them, and says nothing of the file."""
    if value.dtype.kind == "U" and value.dtype.itemsize and value.ndim:
        native = value.dtype.newbyteorder("=")
        for start in range(0, len(value), _CHUNK):
            letters = np.ascontiguousarray(value[start : start + _CHUNK], native).view(np.uint32)
            if letters.size and letters.max() > sys.maxunicode:
                raise UserError(f"'{key}' in {source} holds what is no text", "Make or fetch the file again.")


def _numbers(value: np.ndarray, key: str, shape: tuple[int, ...], source: Path | str) -> np.ndarray:
    value = np.asarray(value)
    if value.dtype.kind not in "fiub":
        raise UserError(f"'{key}' in {source} is {_describe(value)}, not numbers", "Save it as floating point numbers.")
    if value.shape == (*shape, 1):  # some writers keep a trailing axis
        value = value[..., 0]
    if value.shape[1:] != shape[1:] or value.ndim != len(shape):
        expected = ",".join(map(str, ("N", *shape[1:])))
        raise UserError(f"'{key}' in {source} has the shape {value.shape}, not ({expected})", "See data/README.md.")
    _check_length(value, key, shape[0], source)
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused next
        # Flags that are stored as such stay so, for the file to be mapped as it is.
        return np.ascontiguousarray(value, bool if value.dtype == bool else np.float32)


def _check_length(value: np.ndarray, key: str, count: int, source: Path | str) -> None:
    if value.shape[:1] != (count,):
        raise UserError(
            f"'{key}' in {source} has {len(value) if value.ndim else 'no'} entries, 'imgname' has {count}",
            "Every key needs one entry a person.",
        )


def refuse_paths(names: np.ndarray, key: str, source: Path | str) -> None:
    """Raise `UserError` for paths (N,) that could leave the folder of images: annotations are untrusted files."""
    for index in _suspicious(names):
        name = str(names[index])
        windows = PureWindowsPath(name) if "\\" in name or ":" in name else None
        if not name or name[0] == "/" or (windows and windows.anchor):
            problem = "is not a relative path"
        elif ".." in (*PurePosixPath(name).parts, *PureWindowsPath(name).parts):
            problem = "leads out of the folder of images"
        else:
            continue
        raise UserError(
            f"{key}[{index}] = {name!r} in {source} {problem}",
            "Store paths relative to the folder of images, and give that folder beside the annotations.",
        )


def _suspicious(names: np.ndarray) -> Iterator[int]:
    """The indices of paths with anything that a harmless relative path has not; of most files, none."""
    for start in range(0, len(names), _CHUNK):
        part = np.ascontiguousarray(names[start : start + _CHUNK], names.dtype.newbyteorder("="))
        letters = part.view(np.uint32).reshape(len(part), -1)
        dots = letters == ord(".")
        odd = (letters[:, 0] == 0) | (letters[:, 0] == ord("/")) | (dots[:, :-1] & dots[:, 1:]).any(1)
        odd |= ((letters == ord("\\")) | (letters == ord(":"))).any(1)
        yield from (start + np.flatnonzero(odd)).tolist()


def _not_finite(part: np.ndarray) -> np.ndarray:
    return ~np.isfinite(part)


def _not_positive(part: np.ndarray) -> np.ndarray:
    return part <= 0


def _no_size(part: np.ndarray) -> np.ndarray:
    return (part < _SCALES[0]) | (part > _SCALES[1])


def _first_of_each(bad: Callable[[np.ndarray], np.ndarray], value: np.ndarray) -> Iterator[tuple[int, ...]]:
    """Where `value` (N,...) is bad, once for each person; `bad` maps a part of the people to flags."""
    for start in range(0, len(value), _CHUNK):
        flags = bad(value[start : start + _CHUNK])
        if flags.any():
            places = np.argwhere(flags)
            for place in places[np.unique(places[:, 0], return_index=True)[1]]:
                yield (start + int(place[0]), *map(int, place[1:]))


def _refuse_first(
    bad: Callable[[np.ndarray], np.ndarray], key: str, value: np.ndarray, problem: str, source: Path | str
) -> None:
    if places := list(_first_of_each(bad, value)):
        raise UserError(
            f"{_place(key, places[0], value, source)} {problem} ({len(places)} of {len(value)} people)",
            "Correct the entry or leave the person out.",
        )


def _place(key: str, place: tuple[int, ...], value: np.ndarray, source: Path | str) -> str:
    return f"{key}[{', '.join(map(str, place))}] = {value[place]} in {source}"


def _describe(value: np.ndarray) -> str:
    return f"{value.shape} of {value.dtype}"
