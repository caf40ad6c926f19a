"""Names that an earlier version had: on the command line they are refused with the new name."""

from __future__ import annotations

from hmr_light.errors import UserError

_GROUPS = {("prepare", "dataset"): "source"}
_CHOICES = {("data", "own"): "custom"} | {
    ("backbone", f"{network}_{'seeds'}"): f"{network}_reference"
    for network in ("mobilenet_v2", "mobilenet_v3", "shufflenet_v1")
}


def new_choice(group: str, name: str) -> str | None:
    """What the choice `name` of a group is called now; None if it was not renamed."""
    return _CHOICES.get((group, name))


def refuse_old_names(command: str, overrides: list[str]) -> None:
    """Raise `UserError` with the new name for an option that was renamed."""
    for override in overrides:
        key, equals, value = override.partition("=")
        node, dot, rest = key.lstrip("+~").partition(".")
        if new := _GROUPS.get((command, node)):
            raise UserError(f"'{node}' is called '{new}' now", f"Type {new}{dot}{rest}{equals}{value}")
        if new := new_choice(key.lstrip("+"), value):
            raise UserError(f"{key}={value} is called {key}={new} now", f"Type {key}={new}")
