"""`body=PATH` on the command line: a file where Hydra's group has choices."""

from __future__ import annotations

from pathlib import Path

from hmr_light.config.choices import choices
from hmr_light.config.hints import hydra_quoted

_SUFFIXES = (".pkl", ".npz")


def expand_body_path(command: str, overrides: list[str]) -> list[str]:
    """`overrides` with `body=PATH` as the choice smpl with that path; what is no path stays as it is.

    A choice is never taken for a folder of its name. For `prepare`, unless it says which source, the body itself is
    what is to be prepared.
    """
    expanded: list[str] = []
    for override in overrides:
        key, _, value = override.partition("=")
        value = value.strip("'\"")
        path = Path(value).expanduser()
        is_path = "/" in value or value.lower().endswith(_SUFFIXES) or path.is_dir()
        if key != "body" or not value or value in choices("body") or not is_path:
            expanded.append(override)
            continue
        expanded += ["body=smpl", f"body.path={hydra_quoted(str(path.resolve()), literal=True)}"]
        if command == "prepare" and not any(other.startswith("source=") for other in overrides):
            expanded.append("source=body")
    return expanded
