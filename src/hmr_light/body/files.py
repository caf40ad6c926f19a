"""Reading body files: SMPL's arrays from an npz or an official pickle, checked once."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from hmr_light.body.joints import SMPL_PARENTS
from hmr_light.body.pickles import read_pickle
from hmr_light.errors import UserError

EMBEDDED_BODY = Path(__file__).with_name("embedded.npz")
NUM_BETAS = 10

# The names under which a neutral SMPL body is distributed, looked for when a folder is given.
NEUTRAL_FILE_NAMES = (
    "SMPL_NEUTRAL.npz",
    "SMPL_NEUTRAL.pkl",
    "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl",
    "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl",
)
EXTRA_REGRESSOR_FILE = "J_regressor_extra.npy"
H36M_REGRESSOR_FILE = "J_regressor_h36m.npy"

_GET_BODY = "Register at https://smpl.is.tue.mpg.de and download SMPL for Python, or use body=embedded."
_GET_REGRESSORS = (
    f"Get {EXTRA_REGRESSOR_FILE} and {H36M_REGRESSOR_FILE} from SPIN's data (https://github.com/nkolot/SPIN, "
    "fetch_data.sh) and put them beside the body file."
)
_REQUIRED = ("v_template", "f", "shapedirs", "J_regressor", "kintree_table", "weights")


def find_body(path: Path) -> Path:
    """The body file that `path`, a file or a folder, means. Raises `UserError` when there is none."""
    if path.is_dir():
        for name in NEUTRAL_FILE_NAMES:
            if (path / name).is_file():
                return path / name
        raise UserError(f"{path} holds no neutral SMPL body ({', '.join(NEUTRAL_FILE_NAMES)})", _GET_BODY)
    if not path.is_file():
        raise UserError(f"there is no body file {path}", _GET_BODY)
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
        raise UserError(f"{path} is not an SMPL body: it lacks {', '.join(missing)}", _GET_BODY)
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
            array = np.asarray(content[key], dtype=dtype)
        except (TypeError, ValueError) as error:
            raise UserError(f"{key} of {path} is not an array of numbers: {error}", _GET_BODY) from error
        if key == "shapedirs" and array.ndim == 3:
            array = array[:, :, :NUM_BETAS]
        if array.shape != shape:
            raise UserError(f"{key} of {path} has shape {array.shape}, not {shape}", _GET_BODY)
        if not np.isfinite(array).all():
            raise UserError(f"{key} of {path} holds numbers that are not finite", _GET_BODY)
        body[key] = np.ascontiguousarray(array)
    if tuple(body["kintree_table"][0, 1:]) != SMPL_PARENTS[1:]:
        raise UserError(f"the joints of {path} are not connected as SMPL's (kintree_table)", _GET_BODY)
    body["kintree_table"][0, 0] = -1  # official files write it as an unsigned number
    if faces == 0 or body["f"].min() < 0 or body["f"].max() >= vertices:
        raise UserError(f"the faces of {path} name vertices that do not exist", _GET_BODY)
    return body


def _rows(path: Path, key: str, array: object) -> int:
    shape = np.shape(array) if isinstance(array, np.ndarray) else ()
    if len(shape) != 2 or shape[1] != 3:
        raise UserError(f"{key} of {path} has shape {shape}, not (…, 3)", _GET_BODY)
    return shape[0]


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    wanted = (*_REQUIRED, "posedirs", "J_regressor_extra", "J_regressor_h36m")
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in wanted if key in file}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise UserError(f"{path} is not a readable npz file: {error}", _GET_BODY) from error


def _regressor(path: Path, content: dict[str, np.ndarray], given: Path | None, file_name: str) -> np.ndarray:
    key = file_name.removesuffix(".npy")
    if given is None and key in content:
        return content[key]
    file = given or path.parent / file_name
    if not file.is_file():
        raise UserError(f"there is no joint regressor {file} for the body {path}", _GET_REGRESSORS)
    try:
        return np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file} is not a readable npy file: {error}", _GET_REGRESSORS) from error
