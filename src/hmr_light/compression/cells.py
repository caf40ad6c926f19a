"""Channels that can only go together, and how many of them can stay: the choices that pruning has."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch

from hmr_light.compression.channels import ChannelGraph

Use = tuple[str, str, int]
"""Layer, `in` or `out`, and the group of a grouped convolution: where a channel is seen or made."""


@dataclass
class Choice:
    """Cells of which any number may stay, or, where they are bound, so many of `parts` equal parts.

    A cell is a set of channels that were united: they stay or go together.
    """

    cells: list[int]
    parts: int
    """What a number of cells is out of: all cells, or the parts of those that are bound."""
    bound: bool
    outputs: dict[str, int] = field(default_factory=dict)
    """How many outputs of each layer are of these cells."""
    divisors: list[tuple[int, int]] = field(default_factory=list)
    """Of those that are bound: numbers of channels in a grouped convolution, and its groups."""

    def allowed(self, multiple: int) -> list[int]:
        """How many parts may stay: so that every layer's share is a multiple of `multiple`, where that can be.

        All parts may always stay.
        """
        if not self.bound:
            return [*range(multiple, self.parts, multiple), self.parts]
        fitting = [
            number
            for number in range(1, self.parts + 1)
            if all(count * number // self.parts % groups == 0 for count, groups in self.divisors)
        ]
        widths = self.outputs.values()
        round_ones = [one for one in fitting if all(width * one // self.parts % multiple == 0 for width in widths)]
        # With nothing but the whole to choose from, round numbers are not to be had.
        return sorted({*(round_ones if min(round_ones, default=self.parts) < self.parts else fitting), self.parts})


class Cells:
    """The cells of a network, by number, and the choices among them."""

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph = graph
        self.numbers: dict[int, int] = {}
        self.inputs = {name: self._number(channels) for name, channels in graph.inputs.items()}
        self.outputs = {name: self._number(channels) for name, channels in graph.outputs.items()}
        fixed = {self.numbers[one] for one in graph.fixed() if one in self.numbers}
        self.signatures = self._signatures()
        self.choices = self._choices(fixed)

    def __len__(self) -> int:
        return len(self.numbers)

    def by_signature(self) -> dict[object, list[int]]:
        """The cells of each signature, in the order of their first position."""
        found: dict[object, list[int]] = defaultdict(list)
        for cell, signature in enumerate(self.signatures):
            found[signature].append(cell)
        return found

    def uses(self) -> Iterator[tuple[Use, int]]:
        """Every place that a cell is seen or made at, with the cell."""
        for kind, layers in (("in", self.inputs), ("out", self.outputs)):
            for name, cells in layers.items():
                size = self.graph.sizes[name]
                # Each channel of a depthwise convolution is a group of its own, which says nothing.
                groups = 1 if size.groups == size.inputs else size.groups
                part = len(cells) // groups
                for position, cell in enumerate(cells.tolist()):
                    yield (name, kind, position // part), cell

    def widths(self, kept: Mapping[int, int]) -> dict[str, int]:
        """The outputs of each layer that becomes narrower, where of choice i `kept[i]` parts stay; else all."""
        widths: dict[str, int] = {}
        for number, choice in enumerate(self.choices):
            parts = kept.get(number, choice.parts)
            for name, count in choice.outputs.items():
                widths[name] = widths.get(name, len(self.outputs[name])) - count + count * parts // choice.parts
        return {name: width for name, width in widths.items() if width != len(self.outputs[name])}

    def _number(self, channels: list[int]) -> torch.Tensor:
        representatives = map(self.graph.find, channels)
        return torch.tensor([self.numbers.setdefault(one, len(self.numbers)) for one in representatives])

    def _signatures(self) -> list[object]:
        seen: list[Counter[Use]] = [Counter() for _ in range(len(self))]
        for use, cell in self.uses():
            seen[cell][use] += 1
        return [tuple(sorted(counts.items())) for counts in seen]

    def _choices(self, fixed: set[int]) -> list[Choice]:
        bound = self._bound_together()
        held = {cell for cells in bound for cell in cells}
        found = [Choice(sorted(cells), 0, bound=True) for cells in bound if fixed.isdisjoint(cells)]
        for alike in self.by_signature().values():
            if free := [cell for cell in alike if cell not in fixed and cell not in held]:
                found.append(Choice(free, len(free), bound=False))
        self._count(found)
        for choice in found:
            if choice.bound:
                choice.parts = math.gcd(*choice.outputs.values())
        return [choice for choice in found if choice.outputs]

    def _count(self, found: list[Choice]) -> None:
        """Note in each of `found` how many outputs it has of each layer, and its numbers in grouped convolutions."""
        of = torch.full((len(self),), -1)
        for number, choice in enumerate(found):
            of[torch.tensor(choice.cells)] = number
        for name, channels in self.outputs.items():
            size = self.graph.sizes[name]
            made, seen = (Counter(of[one].tolist()) for one in (channels, self.inputs[name]))
            for number in (made.keys() | seen.keys()) - {-1}:
                if made[number] and not 1 < size.groups == size.inputs:  # a depthwise one is as wide as what it sees
                    found[number].outputs[name] = made[number]
                if 1 < size.groups < size.inputs:
                    counts = (made[number], seen[number])
                    found[number].divisors += [(count, size.groups) for count in counts if count]

    def _bound_together(self) -> list[set[int]]:
        """Bound cells, those in one set that are dealt out together, directly or by way of others."""
        together: list[set[int]] = []
        for several in self.graph.bound():
            cells = {self.numbers[one] for one in several if one in self.numbers}
            apart = []
            for others in together:
                if cells.isdisjoint(others):
                    apart.append(others)
                else:
                    cells |= others
            together = [*apart, cells] if cells else apart
        return together
