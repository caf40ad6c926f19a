"""ONNX files, opened: what they say of themselves, and what is refused. `hmr_light.deployment` writes such files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import UserError

FILES = Path(__file__).with_name("data")
"""What comes with the wheel: models, the finder, the body."""
METADATA, FORMAT = "hmr_light", 1
"""The key of a file's metadata, JSON, and the version of what it holds."""
FINDER = "finder"
"""The `kind` in the metadata of the finder's file; files of models have none."""
_LARGEST = 4096
_REMEDY = "Name a file that hmr-light export has written."


def open_file(path: Path, threads: int) -> tuple[Any, dict[str, Any]]:
    """The `onnxruntime.InferenceSession` of a file, on the CPU, and its metadata.

    Raises `UserError` for a file that is missing, damaged or not written by hmr-light.
    """
    import onnxruntime

    if not path.is_file():
        raise UserError(f"there is no file {path}", _REMEDY)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong with a file, our own message says
    # Threads that wait by spinning cost a shared machine dearly.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has a dozen exceptions without a common class of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read as an ONNX model: {reason}", "Copy or export it again.") from error
    found = session.get_modelmeta().custom_metadata_map.get(METADATA)
    if found is None:
        raise UserError(f"{path} was not exported by hmr-light: it does not say what it takes and gives", _REMEDY)
    return session, _checked(found, path)


def check_outputs(session: Any, names: tuple[str, ...], path: Path) -> None:
    """Raise `UserError` for a file that lacks one of the outputs `names`."""
    given = {one.name for one in session.get_outputs()}
    if missing := [name for name in names if name not in given]:
        raise UserError(f"{path} gives no {', '.join(missing)}", _REMEDY)


def _checked(text: str, path: Path) -> dict[str, Any]:
    """The metadata, if they say what a reader needs."""
    try:
        content: dict[str, Any] = json.loads(text)
        number, given = content["format"], content["input"]
        if isinstance(number, int) and number > FORMAT:
            raise UserError(f"{path} is an export of format {number}", "A newer hmr_light wrote it: update this one.")
        size = given["size"]
        sound = number == FORMAT and type(size) is int and 1 <= size <= _LARGEST
        sound = sound and given["type"] in ("uint8", "float32") and isinstance(given["name"], str)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"the metadata of {path} cannot be read: {error!r}", _REMEDY) from error
    if not sound:
        raise UserError(f"the metadata of {path} are not those of an export", _REMEDY)
    return content
