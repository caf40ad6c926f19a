"""The rooms of the house and the one way that imports run between them."""

from __future__ import annotations

import ast
from pathlib import Path

import hmr_light

PACKAGE = Path(hmr_light.__file__).parent

# From the top of the house to its foundation: a room imports from those after it in the list, and from itself.
LEVELS = [
    {"__main__"},
    {"cli"},
    {"commands"},
    {"training", "reports"},
    {"data", "model", "tracking", "metrics", "protocols", "cost"},
    {"body", "backbones"},
    {"geometry", "registry"},
    {"config"},
    {"errors", "paths", "npy", "signals"},
]
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
# `hmr_light.config.application` starts the command that it has checked; it is the command line's, not the schema's.
STARTS_COMMANDS = {("config", "commands")}


def imports() -> list[tuple[str, str, Path]]:
    found = []
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [(room, name, file) for name in names]
    return found


def test_imports_run_one_way() -> None:
    for room, name, file in imports():
        parts = name.split(".")
        if parts[0] != "hmr_light" or len(parts) == 1 or room == "__init__":
            continue
        other = parts[1]
        assert room == other or LEVEL[room] <= LEVEL[other], f"{file} imports {name}"


def test_hydra_and_mlflow_have_one_room_each() -> None:
    for room, name, file in imports():
        top = name.split(".")[0]
        if top == "hydra":
            assert room in ("cli", "config"), f"{file} imports {name}"
        if top == "mlflow":
            assert room in ("tracking",), f"{file} imports {name}"
