"""State dicts: read from files without running their code, unwrapped, and compared with a network's own."""

from __future__ import annotations

import builtins
import io
import re
import warnings
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hmr_light.errors import UserError
from hmr_light.paths import TORCH_FILE, file_kind, zip_members

State = dict[str, torch.Tensor]

_SHOWN = 12
"""Names of weights that a message lists; networks that differ altogether have hundreds."""
_MOST_CLASSES = 200
_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file of `torch.save` began before torch 1.6; since then it is a zip."""
_CONTAINERS = ("state_dict", "model", "model_state_dict", "model_state", "network", "net", "weights")
"""Under which names training scripts save the state dict beside other things."""
_NO_WEIGHTS = {"n_averaged"}
"""Counter that `torch.optim.swa_utils.AveragedModel` adds."""


class Opaque:
    """Stands for an object of a class that torch does not read: takes what the file says of it, and keeps nothing."""

    def __new__(cls, *_: Any) -> Opaque:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class Differences(NamedTuple):
    """How given weights differ from those of a network, by name."""

    missing: list[str]
    unexpected: list[str]
    reshaped: list[str]
    """`NAME (given shape) for (own shape)`."""

    def __str__(self) -> str:
        kinds = {"missing": self.missing, "unexpected": self.unexpected, "of another shape": self.reshaped}
        return "; ".join(f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds.items() if names)


def read_torch_file(path: Path, what: str) -> Any:
    """What a file of `torch.save` holds, of any version of torch. No code of the file is run.

    Objects of classes that torch does not read, such as a training script's options, become `Opaque`. Raises
    `UserError` for a file that is damaged or of another kind; `what` says there what it was taken for.
    """
    is_zip = bool(zip_members(path))
    if not is_zip and path.open("rb").read(len(_MAGIC)) != _MAGIC:
        other = file_kind(path) or "not a file of torch.save, or only a part of one"
        raise UserError(f"{path} cannot be read as {what}: it is {other}", "Name another file, or fetch it again.")
    stand_ins: list[Any] = []
    try:
        while True:
            with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings(action="ignore"):
                try:
                    # Files of before torch 1.6 cannot be mapped, and from a stream could ask for more than they hold.
                    source = path if is_zip else io.BytesIO(path.read_bytes())
                    return torch.load(source, map_location="cpu", weights_only=True, mmap=is_zip)
                except Exception as error:
                    name = _unread_class(error)
                    if name is None or len(stand_ins) == _MOST_CLASSES:
                        raise
            stand_ins.append((type(name, (Opaque,), {}), name))
    except Exception as error:  # a damaged file makes the reader raise almost anything
        if (kind := file_kind(path)) and kind != TORCH_FILE:
            raise UserError(f"{path} cannot be read as {what}: it is {kind}", "Name another file.") from error
        if forbidden := re.search(r"(?:GLOBAL|class|function <\w+) ([\w.]+)", str(error)):
            raise UserError(
                f"{path} cannot be read as {what}: it holds a {forbidden[1]}, and reading that runs its code",
                "In the environment it was made in, save its weights alone: "
                "torch.save({'state_dict': torch.load(FILE, weights_only=False)['state_dict']}, NEW)",
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read as {what}: {reason}", "Fetch it, or train it, again.") from error


def extract_state(content: Mapping[Any, Any]) -> State:
    """The weights by name in what a file holds, out of whatever they are wrapped in; empty where it has none.

    A state dict may lie under a name of its own, and a wrapper (DataParallel, DistributedDataParallel, torch.compile,
    an average of weights) adds prefixes.
    """
    for _ in range(len(_CONTAINERS)):
        content = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)), content)
    weights = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    return {_unwrapped(name): value for name, value in weights.items() if name not in _NO_WEIGHTS}


def compare(own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> Differences:
    """How the weights `given` differ from a network's `own` in names and shapes."""
    shared = sorted(own.keys() & given.keys())
    return Differences(
        sorted(own.keys() - given.keys()),
        sorted(given.keys() - own.keys()),
        [
            f"{name} {tuple(given[name].shape)} for {tuple(own[name].shape)}"
            for name in shared
            if own[name].shape != given[name].shape
        ],
    )


def without(differences: Differences, allow: Sequence[str]) -> Differences:
    """`differences` less those in weights that a pattern in `allow` names; a pattern may hold `*`."""
    return Differences(
        *(
            [name for name in names if not any(fnmatchcase(name.split(" ")[0], pattern) for pattern in allow)]
            for names in differences
        )
    )


def refuse_not_finite(state: Mapping[str, torch.Tensor], source: object, remedy: str) -> None:
    """Raise `UserError` with `remedy` for weights of the file `source` that hold infinity or NaN."""
    if broken := sorted(name for name, value in state.items() if not value.isfinite().all()):
        raise UserError(f"{source} has values that are not finite: in {listed(broken)}", remedy)


def listed(names: Sequence[str]) -> str:
    """The first of `names`, for a message."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _unread_class(error: Exception) -> str | None:
    """The class that torch refused, where an `Opaque` can stand for it; a function would compute something."""
    found = re.search(r"Unsupported global: GLOBAL (\S+) was not", str(error))
    if found is None or ("." not in found[1] and not isinstance(getattr(builtins, found[1], None), type)):
        return None
    return found[1] if "." in found[1] else f"builtins.{found[1]}"


def _unwrapped(name: str) -> str:
    # torch.compile's prefix may stand before any part of a network, the others before the whole.
    name = name.replace("_orig_mod.", "")
    while name.startswith("module."):
        name = name.removeprefix("module.")
    return name
