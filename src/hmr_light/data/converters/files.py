"""Opening the files that datasets come in: MATLAB's, HDF5, CDF. What is not as it should be is the user's to know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.errors import UserError


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while `path` is read as `what` into a `UserError` that names both."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"there is no {path}", f"It is part of {what}; data/README.md says where it goes.") from None
    except PermissionError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "Change its permissions.") from None
    except UserError:
        raise
    except Exception as error:  # readers of foreign formats fail in any way on a damaged file, or one of another layout
        raise UserError(
            f"{path} is not laid out as {what}: {type(error).__name__} {error}", "Fetch it again, or correct the path."
        ) from error


def read_mat(path: Path, *names: str) -> dict[str, Any]:
    """The variables `names` of a MATLAB file up to version 7; structs become objects with attributes."""
    from scipy.io import loadmat

    with path.open("rb") as file:  # given a path, it tries others where there is none
        variables = loadmat(file, variable_names=names, struct_as_record=False)
    return {name: variables[name] for name in names}


def open_hdf5(path: Path) -> Any:
    """The `h5py.File`, to read; MATLAB's files of version 7.3 are such files, with all axes reversed."""
    try:
        import h5py
    except ImportError:
        raise _needs_extra(path, "h5py") from None
    return h5py.File(path, "r")


def read_cdf(path: Path, variable: str) -> np.ndarray:
    """One variable of a file in NASA's Common Data Format."""
    try:
        import cdflib
    except ImportError:
        raise _needs_extra(path, "cdflib") from None
    if not path.is_file():
        raise FileNotFoundError(path)
    return np.asarray(cdflib.CDF(path).varget(variable))


def _needs_extra(path: Path, package: str) -> UserError:
    return UserError(f"reading {path} needs the package {package}", "pip install 'hmr-light[datasets]'")
