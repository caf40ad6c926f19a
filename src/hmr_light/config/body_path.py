"""`body=PATH` on the command line: a file where Hydra's group has choices."""

from __future__ import annotations

from pathlib import Path

_SUFFIXES = (".pkl", ".npz")


def expand_body_path(command: str, overrides: list[str]) -> list[str]:
    """`overrides` with `body=PATH` as the choice smpl with that path; what is no path stays as it is.

    For `prepare`, unless it says which dataset, the body itself is what is to be prepared.
    """
    expanded: list[str] = []
    for override in overrides:
        key, _, value = override.partition("=")
        value = value.strip("'\"")
        if key != "body" or not ("/" in value or value.lower().endswith(_SUFFIXES) or Path(value).is_dir()):
            expanded.append(override)
            continue
        path = str(Path(value).expanduser().resolve()).replace("\\", "\\\\").replace("'", "\\'")
        expanded += ["body=smpl", f"body.path='{path}'"]
        if command == "prepare" and not any(other.startswith("source=") for other in overrides):
            expanded.append("source=body")
    return expanded
