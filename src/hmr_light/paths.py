"""Where the configs, the data, the runs and the tracking store are."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hmr_light.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def conf_dir() -> Path:
    """The folder of Hydra configs: the checkout's `conf/`, or the copy inside an installed wheel."""
    checkout = _CHECKOUT / "conf"
    return checkout if (checkout / "train.yaml").is_file() else _PACKAGE / "conf"


def home() -> Path:
    """The folder that holds `data/`, `outputs/` and `mlflow.db`.

    `$HMR_LIGHT_HOME` if it is set and not empty (`~` is the user's folder), else the checkout, else the current folder.
    Always absolute, so that a command means the same store from every folder. Raises `UserError` when it cannot be one.
    """
    value = os.environ.get("HMR_LIGHT_HOME", "").strip()
    if not value:
        return _CHECKOUT if (_CHECKOUT / "conf" / "train.yaml").is_file() else Path.cwd()
    try:
        folder = Path(value).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # ~NAME of a user that does not exist, a link to itself
        raise UserError(f"HMR_LIGHT_HOME={value}: {error}", "Set it to a folder, or unset it.") from error
    if is_there(folder) and not folder.is_dir():
        raise UserError(f"HMR_LIGHT_HOME={value} is no folder", "Set it to a folder, or unset it.")
    return folder


def is_there(path: Path) -> bool:
    """Whether a file or folder of that name can be seen. A name that the system refuses is not there either."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a folder of another user, a name that is too long or holds a null byte
        return False


def without_secret(address: str) -> str:
    """An address as it may be shown and written: without user and password, and without a query.

    Wherever a careless one (a password that holds `/`, `?` or `@`) could be read in two ways, less is shown.
    """
    scheme, mark, rest = address.partition("://")
    if not mark:  # perhaps the scheme was forgotten
        return address.rpartition("@")[2]
    if scheme.startswith("sqlite") and rest.startswith("/"):
        return address  # a path alone
    place, _, query = re.sub(r"[?#]", "?", rest).partition("?")
    return f"{scheme}://***" if "@" in query else f"{scheme}://{place.rpartition('@')[2]}"


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is flushed to disk and renamed over `path`, else removed.

    So a reader sees the old file or the new one, never a part. Raises `UserError` when the folder cannot be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
        os.close(handle)
    except OSError as error:
        raise _cannot_write(target, error) from error
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _cannot_write(target: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {target}: {error.strerror or error}",
        "Free some space or choose a folder that you can write to.",
    )
