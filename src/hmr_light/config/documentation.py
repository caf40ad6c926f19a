"""What options mean, from the one place where it is written.

For options that have a schema this is the text below the field of the dataclass; for the options of a builder, which
differ from choice to choice, it is the comment above the key in the yaml file.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from functools import cache
from pathlib import Path


@cache
def field_texts(schema: type) -> dict[str, str]:
    """The text below each field of a dataclass, as one line; read from its source, for Python does not keep it."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(schema))).body
    assert isinstance(node, ast.ClassDef)
    texts = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            texts[field.target.id] = " ".join(str(below.value.value).split())  # type: ignore[attr-defined]
    return texts


@cache
def file_texts(file: Path) -> dict[str, str]:
    """The comment above each key of a yaml file, by the key's dotted name, as one line; "" is the file's comment."""
    texts: dict[str, str] = {}
    above: list[str] = []
    parents: list[tuple[int, str]] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if comment := re.match(r"\s*#\s?(.*)", line):
            above.append(comment[1])
            continue
        if "" not in texts:  # what the choice is
            texts[""], above = " ".join(one for one in above if not one.startswith("@package")), []
        if key := re.match(r"(\s*)([\w.-]+):", line):
            parents = [one for one in parents if one[0] < len(key[1])]
            parents.append((len(key[1]), key[2]))
            if above:
                texts[".".join(name for _, name in parents)] = " ".join(above)
        above = []
    return texts
