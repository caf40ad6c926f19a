"""The rooms of the house, and the one way that imports run: between rooms, and between files."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import hmr_light

PACKAGE = Path(hmr_light.__file__).parent

# From the top of the house to its foundation: a room imports from those after it in the list, and from its own level.
LEVELS = [
    {"__main__"},
    {"cli"},
    {"commands"},
    {"search"},
    {"reports", "compression", "deployment"},
    {"training"},
    {"evaluation"},
    {"checkpoints"},
    {"data", "model", "tracking", "cost"},
    {"body", "backbones", "config"},
    {"geometry"},
    {"errors", "paths"},
    {"deployment.runtime"},
]
RUNTIME = "hmr_light.deployment.runtime"
MAY_IMPORT = ("numpy", "cv2", "onnxruntime")
"""What the runtime needs but for Python itself."""
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports() -> dict[str, set[str]]:
    """The modules, ours and others, that each module of the package imports; those inside functions too."""
    known = modules()
    found: dict[str, set[str]] = {}
    for module, file in known.items():
        names = found.setdefault(module, set())
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = str(node.module)
                assert (node.level == 1) == is_own(module, base), f"{file} imports {base}"
                if node.level:
                    base = f"{RUNTIME}.{base}" if node.module else RUNTIME
                inner = {f"{base}.{alias.name}" for alias in node.names}
                names |= (inner & known.keys()) or {base}
        names.discard(module)
    return found


def is_own(module: str, name: str) -> bool:
    """Whether `name` is imported by the runtime, and of the runtime: that is done relatively, and nothing else is."""
    return room(module) == "deployment.runtime" and name.split(".")[0] not in {*sys.stdlib_module_names, *MAY_IMPORT}


def room(module: str) -> str:
    if module == RUNTIME or module.startswith(f"{RUNTIME}."):
        return "deployment.runtime"
    return module.split(".")[1] if "." in module else "__init__"


def test_every_room_has_its_place() -> None:
    assert {room(module) for module in modules()} - {"__init__"} == LEVEL.keys()


def test_imports_run_one_way() -> None:
    for module, names in imports().items():
        for name in names:
            if name.startswith("hmr_light.") and room(module) != "__init__":
                assert LEVEL[room(module)] <= LEVEL[room(name)], f"{module} imports {name}"


def test_no_two_files_import_each_other_however_far_around() -> None:
    known = imports()
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' → '.join((*path[path.index(module) :], module))}"
        if module not in done:
            for name in sorted(known[module] & known.keys()):
                visit(name, (*path, module))
            done.add(module)

    for module in known:
        visit(module, ())


def test_hydra_and_mlflow_have_one_room_each() -> None:
    for module, names in imports().items():
        for top in {name.split(".")[0] for name in names}:
            if top == "hydra":
                assert room(module) in ("cli", "config"), f"{module} imports {top}"
            if top == "mlflow":
                assert room(module) in ("tracking",), f"{module} imports {top}"


def test_the_runtime_imports_nothing_but_itself_and_three_packages() -> None:
    for module, names in imports().items():
        if room(module) == "deployment.runtime":
            others = {name for name in names if room(name) != "deployment.runtime" or not name.startswith("hmr_light.")}
            assert {name.split(".")[0] for name in others} <= {*sys.stdlib_module_names, *MAY_IMPORT}, module
