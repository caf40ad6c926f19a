"""Reading body files: SMPL's arrays from an npz or an official pickle, checked once."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hmr_light.body.joints import SMPL_PARENTS
from hmr_light.body.npy import read_array, read_npz
from hmr_light.body.pickles import read_pickle
from hmr_light.errors import UserError
from hmr_light.paths import NPZ_FILE, atomic_write, file_kind

EMBEDDED_BODY = Path(__file__).with_name("embedded.npz")
NUM_BETAS = 10

GENDERS = ("neutral", "male", "female")
# The names under which SMPL's bodies are distributed: smplx's, and the official ones of versions 1.0.0 and 1.1.0.
_FILE_NAME = re.compile(
    r"smpl_(?P<gender>neutral|male|female)\.(npz|pkl)|basicmodel_(?P<letter>neutral|m|f)_lbs_10_207_0_v[\d.]+\.pkl",
    re.IGNORECASE,
)
_OF_LETTER = {"m": "male", "f": "female"}
EXTRA_REGRESSOR_FILE = "J_regressor_extra.npy"
H36M_REGRESSOR_FILE = "J_regressor_h36m.npy"

GET_BODY = (
    "Register at https://smpl.is.tue.mpg.de, download SMPL for Python (SMPL_NEUTRAL.pkl or basicmodel_neutral_….pkl) "
    "and run hmr-light prepare body=FILE; or use body=embedded."
)
GET_REGRESSORS = (
    f"Get {EXTRA_REGRESSOR_FILE} and {H36M_REGRESSOR_FILE} from SPIN's data (https://github.com/nkolot/SPIN, "
    "fetch_data.sh) and put them beside the body file."
)
# Other body models, by their number of joints; SMPL has 24.
_OTHER_MODELS = {5: "FLAME", 16: "MANO", 33: "SMAL", 35: "SMAL", 52: "SMPL+H", 55: "SMPL-X"}
_OTHER_NAMES = re.compile(r"(smplx|smplh|smpl\+h|smal|star|mano|flame|skel)_.*\.(npz|pkl)", re.IGNORECASE)
_STAR_POSE_DIRECTIONS = 93
_DEEPEST = 4
"""Folders below the given one that are searched: the official archive unpacks to `SMPL_python_v.1.1.0/smpl/models`."""
_REQUIRED = ("v_template", "f", "shapedirs", "J_regressor", "kintree_table", "weights")


def gender_of(path: Path) -> str | None:
    """neutral, male or female, by the name of a body file; None for a name that does not say."""
    if not (match := _FILE_NAME.fullmatch(path.name)):
        return None
    name = (match["gender"] or match["letter"]).lower()
    return _OF_LETTER.get(name, name)


def find_bodies(folder: Path) -> dict[str, Path]:
    """The SMPL files in `folder` by gender: of several, the npz, then smplx's name, then the newest version.

    Where it has none, those of the nearest level of folders below it that has some.
    """
    for depth in range(1 + _DEEPEST):
        files = sorted(folder.glob("*/" * depth + "*"), key=lambda file: file.name.lower())
        # In this order the best file of each gender comes last, and stays.
        files.sort(key=lambda file: (file.suffix.lower() == ".npz", file.name.lower().startswith("smpl_")))
        found = {gender: file for file in files if (gender := gender_of(file)) and file.is_file()}
        if found:
            return {gender: found[gender] for gender in GENDERS if gender in found}
    return {}


def find_body(path: Path, gender: str = "neutral") -> Path:
    """The body file that `path`, a file, or a folder with one of `gender`, means. Raises `UserError` for none."""
    path = path.expanduser()
    if path.is_dir():
        bodies = find_bodies(path)
        if gender not in bodies:
            others = [file.name for file in sorted(path.iterdir()) if _OTHER_NAMES.fullmatch(file.name)]
            instead = f" (SMPL_{gender.upper()}.pkl, for example)"
            if bodies:
                instead = f", only {' and '.join(bodies)}"
            elif others:
                instead = f", and {others[0]} is of another body model"
            raise UserError(f"{path} holds no {gender} SMPL body{instead}", GET_BODY)
        return bodies[gender]
    if not path.is_file():
        raise UserError(f"there is no body file or folder {path}", GET_BODY)
    return path


def read_body(
    path: Path, extra_regressor: Path | None = None, h36m_regressor: Path | None = None
) -> dict[str, np.ndarray]:
    """The arrays of a body file and its joint regressors, floats as float32 and indices as int64.

    `v_template` (V, 3) m, `f` (F, 3), `shapedirs` (V, 3, 10), `posedirs` (V, 3, 207), `J_regressor` (24, V),
    `kintree_table` (2, 24), `weights` (V, 24), `J_regressor_extra` (9, V), `J_regressor_h36m` (17, V). A regressor is
    taken from the given npy file, else from the body file, else from the npy file beside it. Files with more than 10
    shape directions (SMPL 1.1.0 has 300) are cut to the first 10; absent posedirs are zeros.
    Raises `UserError` for a file that is missing, damaged, or not of SMPL's form.
    """
    content = _read(path)
    if missing := [key for key in _REQUIRED if key not in content]:
        raise UserError(f"{path} is not an SMPL body: it lacks {', '.join(missing)}", GET_BODY)
    if model := _other_model(content):
        raise UserError(f"{path} is a body of {model}, not of SMPL", GET_BODY)
    vertices, faces = (_rows(path, key, content[key]) for key in ("v_template", "f"))
    content.setdefault("posedirs", np.zeros((vertices, 3, 207), np.float32))
    content["J_regressor_extra"] = _regressor(path, content, extra_regressor, EXTRA_REGRESSOR_FILE)
    content["J_regressor_h36m"] = _regressor(path, content, h36m_regressor, H36M_REGRESSOR_FILE)

    shapes = {
        "v_template": (vertices, 3),
        "f": (faces, 3),
        "shapedirs": (vertices, 3, NUM_BETAS),
        "posedirs": (vertices, 3, 207),
        "J_regressor": (24, vertices),
        "kintree_table": (2, 24),
        "weights": (vertices, 24),
        "J_regressor_extra": (9, vertices),
        "J_regressor_h36m": (17, vertices),
    }
    body = {}
    for key, shape in shapes.items():
        dtype = np.int64 if key in ("f", "kintree_table") else np.float32
        try:
            if np.iscomplexobj(content[key]):
                raise TypeError("its numbers are complex")
            with np.errstate(over="ignore", invalid="ignore"):  # what does not fit is refused below
                array = np.asarray(content[key], dtype=dtype)
        except (TypeError, ValueError) as error:
            raise UserError(f"{key} of {path} is not an array of numbers: {error}", GET_BODY) from error
        if key == "shapedirs" and array.ndim == 3:
            array = array[:, :, :NUM_BETAS]
        if array.shape != shape:
            raise UserError(f"{key} of {path} has shape {array.shape}, not {shape}", GET_BODY)
        if not np.isfinite(array).all():
            raise UserError(f"{key} of {path} holds numbers that are not finite", GET_BODY)
        body[key] = np.ascontiguousarray(array)
    if tuple(body["kintree_table"][0, 1:]) != SMPL_PARENTS[1:]:
        raise UserError(f"the joints of {path} are not connected as SMPL's (kintree_table)", GET_BODY)
    body["kintree_table"][0, 0] = -1  # official files write it as an unsigned number
    if faces == 0 or body["f"].min() < 0 or body["f"].max() >= vertices:
        raise UserError(f"the faces of {path} name vertices that do not exist", GET_BODY)
    return body


def write_body(arrays: dict[str, np.ndarray], gender: str, out: Path) -> None:
    """Write the `arrays` of `read_body` and the body's gender as one npz, which needs no other file."""
    with atomic_write(out) as temporary, temporary.open("wb") as file:
        np.savez(file, gender=np.array(gender), **arrays)  # type: ignore[arg-type]


def _rows(path: Path, key: str, array: object) -> int:
    shape = np.shape(array) if isinstance(array, np.ndarray) else ()
    if len(shape) != 2 or shape[1] != 3:
        raise UserError(f"{key} of {path} has shape {shape}, not (…, 3)", GET_BODY)
    return shape[0]


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz or a pickle, whichever the file is. Raises `UserError` that says what another file is."""
    try:
        kind = file_kind(path)
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "Check the path and its permissions.") from error
    if kind == "a web page":
        raise UserError(f"{path} is a web page, not an SMPL body: the download asks you to log in", GET_BODY)
    if kind == "a zip archive":
        raise UserError(f"{path} is a zip archive, not an SMPL body", "Unpack it, and give the folder: body=FOLDER.")
    if kind not in (None, NPZ_FILE):
        raise UserError(f"{path} is {kind}, not an SMPL body", GET_BODY)
    # A pickle of protocol 2 and above begins with 0x80, a zip file with PK; the file's name may say otherwise.
    is_pickle = start[:1] == b"\x80" or (path.suffix.lower() == ".pkl" and start != b"PK")
    return read_pickle(path) if is_pickle else _read_npz(path)


def _other_model(content: dict[str, np.ndarray]) -> str | None:
    """The name of the body model that the arrays are of, if it is a known one and not SMPL."""
    weights, posedirs = (np.shape(content.get(key, ())) for key in ("weights", "posedirs"))
    if len(posedirs) == 3 and posedirs[2] == _STAR_POSE_DIRECTIONS:
        return "STAR"
    return _OTHER_MODELS.get(weights[1]) if len(weights) == 2 else None


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    wanted = (*_REQUIRED, "posedirs", "J_regressor_extra", "J_regressor_h36m")
    try:
        return read_npz(path, wanted)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not a readable npz file: {error}", GET_BODY) from error


def _regressor(path: Path, content: dict[str, np.ndarray], given: Path | None, file_name: str) -> np.ndarray:
    key = file_name.removesuffix(".npy")
    if given is None and key in content:
        return content[key]
    file = given or path.parent / file_name
    if not file.is_file():
        raise UserError(f"there is no joint regressor {file} for the body {path}", GET_REGRESSORS)
    try:
        with file.open("rb") as opened:
            return read_array(opened, file.stat().st_size)
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is not a readable npy file: {error}", GET_REGRESSORS) from error
