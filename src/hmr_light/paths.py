"""Where the configs, the data, the runs and the tracking store are; what kind of file a file is; atomic writing."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hmr_light.deployment.runtime.files import atomic_write as atomic_write
from hmr_light.deployment.runtime.files import cannot_write
from hmr_light.errors import UserError

NPZ_FILE, TORCH_FILE = "an npz file of arrays", "a file of torch.save"
_ZOO_SUFFIXES = (".pt", ".hmrz")
_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parents[1]


def conf_dir() -> Path:
    """The folder of Hydra configs: the checkout's `conf/`, or the copy inside an installed wheel."""
    checkout = _CHECKOUT / "conf"
    return checkout if (checkout / "train.yaml").is_file() else _PACKAGE / "conf"


def sample_photograph() -> Path:
    """A photograph to try things on: a man at a tripod, 512 x 512 pixels, grey; CC0 (see NOTICE)."""
    checkout = _CHECKOUT / "data" / "camera.png"
    return checkout if checkout.is_file() else _PACKAGE / "data" / "camera.png"


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


def zoo_file(name: str) -> Path | None:
    """The checkpoint of the model that comes with the package under `name`; None if there is none."""
    files = [_PACKAGE / "zoo" / f"{name}{suffix}" for suffix in _ZOO_SUFFIXES]
    return next(filter(is_there, files), None) if name == Path(name).name else None


def checkpoint_file(named: Path) -> Path:
    """The file that `checkpoint=` or `init=` names: a path, else a model that comes with the package, by its name."""
    path = named.expanduser()
    return path if is_there(path) else zoo_file(str(named)) or path


def zoo_names() -> list[str]:
    """The names of the models that come with the package, sorted."""
    return sorted({file.stem for file in (_PACKAGE / "zoo").iterdir() if file.suffix in _ZOO_SUFFIXES})


def where_now(written: Path | str) -> Path:
    """Where a file or folder is that was written down as the absolute path `written`: its home may have moved since.

    `written` itself if it is there, or if nothing is found. Otherwise the caller has to compare what it holds: it is
    what has the same place in today's home, or in the folder that the home is in.
    """
    path = Path(written)
    if is_there(path):
        return path
    parts = path.parts
    places = (base.joinpath(*parts[first:]) for base in (home(), home().parent) for first in range(1, len(parts) - 1))
    return next((place for place in places if is_there(place)), path)


def as_text(path: Path | str) -> str:
    """A path as text that can be written anywhere: where the locale lacks its letters, Python holds them as bytes."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


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


def file_kind(path: Path) -> str | None:
    """What the file `path` is by its first bytes and, if it is a zip file, its members; None for what is not known.

    For messages, as in "it is a web page". A pickle, and what is damaged at its start, is not known.
    """
    with path.open("rb") as file:
        start = file.read(512)
    names = zip_members(path)
    kinds: tuple[tuple[str, bool], ...] = (
        ("empty", not start),
        ("a TorchScript archive", any(name.endswith("/constants.pkl") for name in names)),
        (TORCH_FILE, any(name.endswith("/data.pkl") for name in names)),
        (NPZ_FILE, any(name.endswith(".npy") for name in names)),
        ("a zip archive", bool(names)),
        ("an OpenVINO model", path.suffix.lower() == ".xml"),
        ("an ExecuTorch program", path.suffix.lower() == ".pte"),
        ("a web page", start.lstrip()[:1] == b"<"),
        ("a pointer of Git LFS, which `git lfs pull` replaces by the file", start.startswith(b"version https://git-")),
        ("an HDF5 file", start.startswith(b"\x89HDF")),
        ("a safetensors file", start[8:9] == b"{"),
        ("compressed", start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!"))),
        ("an npy file of one array", start.startswith(b"\x93NUMPY")),
        ("an image", start.startswith((b"\xff\xd8\xff", b"\x89PNG", b"GIF8"))),
        ("a PDF document", start.startswith(b"%PDF")),
        ("a mesh", path.suffix.lower() in (".obj", ".ply", ".stl", ".glb", ".gltf", ".fbx", ".off")),
        ("an ONNX model", path.suffix.lower() == ".onnx"),
    )
    return next((kind for kind, fits in kinds if fits), None)


def zip_members(path: Path) -> list[str]:
    """The names in a zip file; none for any other file."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return []


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it is flushed to disk and renamed to `path`, else removed.

    Raises `UserError` when the folder cannot be written, and when something else is at `path` by then.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    except OSError as error:
        raise cannot_write(target, error) from error
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
        temporary.chmod(0o755)
        temporary.rename(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def camera_number(source: str) -> int | None:
    """The number of the camera that `camera` or `camera:1` names, from 0; None for another source."""
    found = re.fullmatch(r"camera(?::(\d{1,3}))?", source)
    return int(found[1] or 0) if found else None
