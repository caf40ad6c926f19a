"""The body: SMPL's shape and pose → vertices and joints, in numpy (Loper et al., "SMPL", SIGGRAPH Asia 2015, 3)."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from .errors import UserError
from .joints import PICKED_VERTICES, SPIN_JOINTS_49
from .sessions import FILES

_REMEDY = "Give the npz that hmr-light prepare body=FILE has written, or leave the body out."
_KEYS = ("v_template", "f", "shapedirs", "J_regressor", "J_regressor_extra", "kintree_table", "weights")


class Body:
    """A body in SMPL's format, float32."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        """`arrays` are those of SMPL's files: `v_template` (V, 3), `shapedirs` (V, 3, 10), `weights` (V, 24) …"""
        regressor = arrays["J_regressor"].astype(np.float64)
        template, directions = (arrays[key].astype(np.float64) for key in ("v_template", "shapedirs"))
        directions = directions[..., :10].reshape(len(template), 30)
        self.faces = arrays["f"].astype(np.int64)
        self.num_vertices = len(template)
        self._parents = arrays["kintree_table"][0].astype(np.int64)
        self._template = template.astype(np.float32)
        self._directions = directions.reshape(-1, 10).astype(np.float32)
        self._rest = (regressor @ template).astype(np.float32)
        self._rest_directions = (regressor @ directions).reshape(24, 3, 10).astype(np.float32)
        self._weights = arrays["weights"].astype(np.float32)
        self._extra = arrays["J_regressor_extra"].astype(np.float32)
        pose = arrays.get("posedirs")
        self._pose = None if pose is None or not pose.any() else pose.reshape(-1, 207).astype(np.float32)

    def __call__(self, rotations: np.ndarray, betas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (B, V, 3) and SPIN's joints (B, 49, 3), metres, of rotations (B, 24, 3, 3) and betas (B, 10)."""
        count = len(rotations)
        rotations, betas = np.asarray(rotations, np.float32), np.asarray(betas, np.float32)
        rest = self._rest + np.einsum("bs,jcs->bjc", betas, self._rest_directions)
        turned, places = self._chain(rotations, rest)
        vertices = self._template + (betas @ self._directions.T).reshape(count, -1, 3)
        if self._pose is not None:
            bent = (rotations[:, 1:] - np.eye(3, dtype=np.float32)).reshape(count, 207)
            vertices = vertices + (bent @ self._pose.T).reshape(count, -1, 3)
        moved = places - (turned @ rest[..., None])[..., 0]
        transforms = np.concatenate((turned, moved[..., None]), axis=-1).reshape(count, 24, 12)
        blended = (self._weights @ transforms).reshape(count, -1, 3, 4)
        posed = np.einsum("bvac,bvc->bva", blended[..., :3], vertices) + blended[..., 3]
        joints = np.concatenate((places, posed[:, PICKED_VERTICES], self._extra @ posed), axis=1)
        return posed, joints[:, SPIN_JOINTS_49]

    def _chain(self, rotations: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The global rotation (B, 24, 3, 3) and place (B, 24, 3) of each joint, whose place at rest is `rest`."""
        turned, places = rotations.copy(), rest.copy()
        for joint in range(1, 24):
            parent = self._parents[joint]
            turned[:, joint] = turned[:, parent] @ rotations[:, joint]
            offset = (rest[:, joint] - rest[:, parent])[..., None]
            places[:, joint] = places[:, parent] + (turned[:, parent] @ offset)[..., 0]
        return turned, places


def load_body(path: Path | str | None = None) -> Body:
    """The body in an npz file; None is the one that comes with this package, which needs no registration.

    Raises `UserError` for a file that is missing, damaged or not of SMPL's form.
    """
    file = FILES / "body.npz" if path is None else Path(path).expanduser()
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays = {key: content[key] for key in (*_KEYS, "posedirs") if key in content}
    except FileNotFoundError:
        raise UserError(f"there is no body {file}", _REMEDY) from None
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:  # numpy's own words advise to trust it
        raise UserError(f"{file} is not a readable npz file", _REMEDY) from error
    if missing := [key for key in _KEYS if key not in arrays]:
        raise UserError(f"{file} is not an SMPL body: it lacks {', '.join(missing)}", _REMEDY)
    count = len(arrays["v_template"])
    shapes = {"v_template": (count, 3), "J_regressor": (24, count), "weights": (count, 24)}
    shapes |= {"J_regressor_extra": (9, count), "kintree_table": (2, 24)}
    wrong = [key for key, shape in shapes.items() if arrays[key].shape != shape]
    if (
        arrays["shapedirs"].shape[:2] != (count, 3)
        or arrays["shapedirs"].ndim != 3
        or arrays["shapedirs"].shape[2] < 10
    ):
        wrong.append("shapedirs")
    if wrong or count <= max(PICKED_VERTICES):
        raise UserError(f"{file} is not an SMPL body: {', '.join(wrong) or 'its vertices'} are not SMPL's", _REMEDY)
    return Body(arrays)
