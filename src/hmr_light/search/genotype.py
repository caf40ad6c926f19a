"""A genotype: one network of a search space. It is an ordinary `backbone=stages` configuration, and no more."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

Options = tuple[tuple[str, Any], ...]
"""A mapping of options, sorted by name, so that equal ones are equal; a list is a tuple."""


def frozen(options: dict[str, Any]) -> Options:
    """`options` in the form that genotypes hold."""
    return tuple(sorted((name, tuple(value) if isinstance(value, list) else value) for name, value in options.items()))


def thawed(options: Options) -> dict[str, Any]:
    """The mapping that `frozen` was given."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options}


@dataclass(frozen=True)
class Block:
    """One block of a network."""

    options: Options
    """Its kind, as `block`, and the options of that kind."""
    out: int
    """How many maps it gives."""
    stride: int

    def repeated(self) -> Block:
        """The block that a stage repeats after this one."""
        return Block(self.options, self.out, 1)


@dataclass(frozen=True)
class Genotype:
    """One network: two genotypes are equal if their networks are the same layer by layer."""

    image_size: int
    stem: Options
    blocks: tuple[Block, ...]
    """One after the other; which stages they came from does not matter."""
    head: Options | None
    regressor: Options

    def nodes(self) -> dict[str, Any]:
        """The nodes `backbone` and `regressor` of its configuration, and the number `image_size`."""
        stages: list[dict[str, Any]] = []
        for number, block in enumerate(self.blocks):
            if number and block == self.blocks[number - 1].repeated():
                stages[-1]["repeat"] += 1
            else:
                block_and_options = thawed(block.options)
                kind = {"block": block_and_options.pop("block")}
                stages.append(kind | {"out": block.out, "stride": block.stride, "repeat": 1} | block_and_options)
        backbone = {
            "name": "stages",
            "stem": thawed(self.stem),
            "stages": stages,
            "head": None if self.head is None else thawed(self.head),
            "width": 1.0,
            "weights": None,
            "adapter": {"name": "pooled"},
            "rewrites": [],
        }
        return {"backbone": backbone, "regressor": thawed(self.regressor), "image_size": self.image_size}

    @property
    def key(self) -> str:
        """Twelve letters that stand for this network alone."""
        text = json.dumps(self.nodes(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]
