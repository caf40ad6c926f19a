"""Which `hmr-light prepare` writes a file of annotations that is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from hmr_light.config.choices import choice_file, choices
from hmr_light.config.hints import command_line
from hmr_light.paths import home

_PARTS: dict[str, tuple[Any, ...]] = {"split": ("train", "validation", "test"), "protocol": (1, 2)}
"""Options of a source that choose which of its files is written."""


class _Maker(NamedTuple):
    options: dict[str, Any]
    file: Path
    out: Path
    """What `source.out` names: the file, or the folder that it is in."""


def make_command(file: Path, set_name: str = "") -> str | None:
    """The command that writes the annotations `file`; None where no source is known to write a file of that name.

    Where several sources write files of that name, `set_name`, the set's in `data`, tells which is meant.
    """
    file = file.expanduser().absolute()
    # The files of conf/ refer to it; the command line has set it, a program of somebody else's perhaps not.
    os.environ["HMR_LIGHT_HOME"] = os.environ.get("HMR_LIGHT_HOME") or str(home())
    makers = [maker for source in choices("source") for maker in _makers(source)]
    for maker in makers:
        if maker.file == file:
            return command_line("prepare", maker.options)
    named = [maker for maker in makers if maker.file.name == file.name]
    if len(named) > 1:
        named = [maker for maker in named if set_name.startswith(maker.options["source"])]
    if len(named) != 1:
        return None
    out = file if named[0].out == named[0].file else file.parent
    return command_line("prepare", named[0].options | {"source.out": out})


def make_remedy(key: str, file: Path) -> str:
    """What to do about annotations that are missing; `key` is their option, as in `data.train.NAME.annotations`."""
    names = key.split(".")
    command = make_command(file, names[2] if len(names) > 2 else "")
    making = f"Make it with: {command}\n  Or" if command else "Make it with `hmr-light prepare source=…`, or"
    return f"{making} correct the path; see data/README.md."


def _makers(source: str) -> Iterator[_Maker]:
    """The files that a source writes by default."""
    file = choice_file("source", source)
    if file is None or source in ("body", "check"):
        return
    # Hydra would take a second for all of them.
    config = OmegaConf.load(file)
    assert isinstance(config, DictConfig)
    if source == "synthetic":
        out = Path(config.out)
        for split in ("train", "val", "test", "test-ood"):
            yield _Maker({"source": source}, out / f"{split}.npz", out)
        return
    part = next((name for name in _PARTS if name in config), None)
    for value in _PARTS[part] if part else ((),):
        options: dict[str, Any] = {"source": source}
        if part:
            config[part] = options[f"source.{part}"] = value
        yield _Maker(options, Path(config.out), Path(config.out))
