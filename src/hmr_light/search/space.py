"""A search space: lists of choices, as `conf/search_space/` has them, and the networks that they make."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hmr_light.search.genotype import Block, Genotype, Options, frozen
from hmr_light.search.parts import Maps, maps_after, maps_of_stem, problem

Value = bool | int | float | str | None
Values = Mapping[str, Value]
"""A value for every parameter of a space, by name; see `Space.parameters`."""

BUDGETS = ("macs", "parameters", "latency")
"""What a network may be limited in: multiply-accumulates of one image, parameters with the folded regressor, and time
as a ratio to the yardstick network's."""


def label(value: Any) -> Value:
    """A choice as a parameter's value: itself, or JSON where it is a list."""
    return json.dumps(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Alternative:
    """One way to make a part: the choices of each of its options. None of them: the part is left out."""

    name: str
    """What it is called beside the part's other alternatives."""
    options: Mapping[str, tuple[Any, ...]] | None

    def parameters(self, prefix: str) -> Iterator[tuple[str, tuple[Value, ...]]]:
        for option, choices in (self.options or {}).items():
            if len(choices) > 1:
                yield f"{prefix}{option}", tuple(map(label, choices))

    def pick(self, prefix: str, values: Values) -> Options | None:
        if self.options is None:
            return None
        picked = {}
        for option, choices in self.options.items():
            chosen = values.get(f"{prefix}{option}", label(choices[0]))
            picked[option] = next(one for one in choices if _same(label(one), chosen))
        return frozen(picked)

    def all(self) -> Iterator[Options | None]:
        """Every combination of the choices."""
        if self.options is None:
            yield None
            return
        combinations: list[dict[str, Any]] = [{}]
        for option, choices in self.options.items():
            combinations = [one | {option: choice} for one in combinations for choice in choices]
        yield from map(frozen, combinations)


@dataclass(frozen=True)
class Part:
    """A stem, the blocks of a stage, a head or a regressor: one of some alternatives."""

    name: str
    alternatives: tuple[Alternative, ...]

    def parameters(self) -> Iterator[tuple[str, tuple[Value, ...]]]:
        if len(self.alternatives) > 1:
            yield self.name, tuple(one.name for one in self.alternatives)
        for one in self.alternatives:
            yield from one.parameters(self._prefix(one))

    def pick(self, values: Values) -> Options | None:
        chosen = values.get(self.name, self.alternatives[0].name)
        one = next(one for one in self.alternatives if one.name == chosen)
        return one.pick(self._prefix(one), values)

    def all(self) -> list[Options | None]:
        """Every way to make it, each once."""
        return list(dict.fromkeys(options for one in self.alternatives for options in one.all()))

    def _prefix(self, one: Alternative) -> str:
        return f"{self.name}.{one.name}." if len(self.alternatives) > 1 else f"{self.name}."


@dataclass(frozen=True)
class Stage:
    """The choices of one stage."""

    name: str
    outs: tuple[int, ...]
    strides: tuple[int, ...]
    repeats: tuple[int, ...]
    """How many blocks; 0 leaves the stage out."""
    each: bool
    """Whether every block is chosen by itself, instead of one for all."""
    blocks: tuple[Part, ...]
    """What is chosen: one part, or with `each` one for each block."""

    def parameters(self) -> Iterator[tuple[str, tuple[Value, ...]]]:
        for name, choices in (("repeat", self.repeats), ("out", self.outs), ("stride", self.strides)):
            if len(choices) > 1:
                yield f"{self.name}.{name}", choices
        for part in self.blocks:
            yield from part.parameters()

    def first(self) -> list[Block]:
        """The blocks that the stage may begin with."""
        kinds = [options for options in self.blocks[0].all() if options is not None]
        return [Block(kind, out, stride) for kind in kinds for out in self.outs for stride in self.strides]

    def pick(self, values: Values) -> list[Block]:
        """The blocks that `values` choose."""
        repeat, out, stride = (
            int(values.get(f"{self.name}.{name}", choices[0]))  # type: ignore[arg-type]
            for name, choices in (("repeat", self.repeats), ("out", self.outs), ("stride", self.strides))
        )
        found = []
        for number in range(repeat):
            options = self.blocks[number if self.each else 0].pick(values)
            assert options is not None
            found.append(Block(options, out, 1 if number else stride))
        return found


@dataclass(frozen=True)
class Space:
    """All networks that lists of choices make."""

    name: str
    image_sizes: tuple[int, ...]
    stem: Part
    stages: tuple[Stage, ...]
    head: Part
    regressor: Part
    budget: Mapping[str, float]
    """What a network of this space may cost at most, by `macs`, `parameters` and `latency`."""

    @property
    def parameters(self) -> dict[str, tuple[Value, ...]]:
        """What there is to choose, by name: two or more values each. Which of them matter depends on the others."""
        found: dict[str, tuple[Value, ...]] = {}
        if len(self.image_sizes) > 1:
            found["image_size"] = self.image_sizes
        parts: tuple[Part | Stage, ...] = (self.stem, *self.stages, self.head, self.regressor)
        for part in parts:
            found |= dict(part.parameters())
        return found

    def decode(self, values: Values) -> Genotype:
        """The network that `values` choose; see `fits`."""
        stem, regressor = self.stem.pick(values), self.regressor.pick(values)
        assert stem is not None
        assert regressor is not None
        return Genotype(
            image_size=int(values.get("image_size", self.image_sizes[0])),  # type: ignore[arg-type]
            stem=stem,
            blocks=tuple(block for stage in self.stages for block in stage.pick(values)),
            head=self.head.pick(values),
            regressor=regressor,
        )


def fits(genotype: Genotype) -> bool:
    """Whether the network can be built: some combinations of widths, groups and strides cannot."""
    maps: Maps = maps_of_stem(genotype.stem, genotype.image_size)
    for block in genotype.blocks:
        if maps.side < 1 or problem(block, maps.channels):
            return False
        maps = maps_after(block, maps)
    return maps.side > 0 and bool(genotype.blocks)


def _same(one: Value, other: Value) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)
