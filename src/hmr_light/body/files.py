"""Reading body files: SMPL's arrays from an npz or an official pickle, checked once."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hmr_light.body.joints import SMPL_PARENTS
from hmr_light.body.npy import read_array, read_npz
from hmr_light.body.pickles import read_pickle
from hmr_light.errors import UserError
from hmr_light.paths import atomic_write

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
_REQUIRED = ("v_template", "f", "shapedirs", "J_regressor", "kintree_table", "weights")


def gender_of(path: Path) -> str | None:
    """neutral, male or female, by the name of a body file; None for a name that does not say."""
    if not (match := _FILE_NAME.fullmatch(path.name)):
        return None
    name = (match["gender"] or match["letter"]).lower()
    return _OF_LETTER.get(name, name)


def find_bodies(folder: Path) -> dict[str, Path]:
    """The SMPL files in `folder` by gender: of several, the npz, then smplx's name, then the newest version."""
    order = sorted(folder.iterdir(), key=lambda file: file.name.lower())
    # In this order the best file of each gender comes last, and stays.
    order.sort(key=lambda file: (file.suffix.lower() == ".npz", file.name.lower().startswith("smpl_")))
    found = {gender: file for file in order if file.is_file() and (gender := gender_of(file))}
    return {gender: found[gender] for gender in GENDERS if gender in found}


def find_body(path: Path, gender: str = "neutral") -> Path:
    """The body file that `path`, a file, or a folder with one of `gender`, means. Raises `UserError` for none."""
    path = path.expanduser()
    if path.is_dir():
        bodies = find_bodies(path)
        if gender not in bodies:
            others = f", only {' and '.join(bodies)}" if bodies else f" (SMPL_{gender.upper()}.pkl, for example)"
            raise UserError(f"{path} holds no {gender} SMPL body{others}", GET_BODY)
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
    content = read_pickle(path) if path.suffix.lower() == ".pkl" else _read_npz(path)
    if missing := [key for key in _REQUIRED if key not in content]:
        raise UserError(f"{path} is not an SMPL body: it lacks {', '.join(missing)}", GET_BODY)
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
