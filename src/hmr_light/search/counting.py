"""How many networks a space has, and which of its choices are in none of them.

A network is a sequence of blocks. A space allows a sequence if its stages can be laid over it, one after the other, and
if every block can be built for the maps that reach it. Several ways to lay them count once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from hmr_light.errors import UserError
from hmr_light.search.genotype import Block
from hmr_light.search.parts import Maps, maps_after, maps_of_stem, problem
from hmr_light.search.space import Space, label


class Position(NamedTuple):
    """A place in a space: `done` blocks of stage number `stage` are behind."""

    stage: int
    done: int


def size(space: Space) -> int:
    """The exact number of different networks of `space` that can be built."""
    walk = _Walk(space)
    starts = frozenset(walk.starts())
    ways = sum(walk.count_starts(starts, maps) for maps in _stems(space))
    return ways * len(space.head.all()) * len(space.regressor.all())


def refuse_useless(space: Space, node: str) -> None:
    """Raise `UserError` for a choice of a stage of `space`, which stands at `node`, that no network has."""
    walk = _Walk(space)
    for maps in _stems(space):
        for start in walk.starts():
            walk.mark_start(-1, start, maps)
    for number, stage in enumerate(space.stages):
        place, first = f"{node}.stages[{number}]", walk.first[number]
        used = {block for at, block in walk.used if at.stage == number}
        outs, strides = {one.out for one in used}, {one.stride for at, one in walk.used if at == Position(number, 1)}
        for out in stage.outs:
            if out not in outs:
                raise _useless(space, number, f"{place}.out={out}", [one for one in first if one.out == out])
        for stride in stage.strides:
            if stride not in strides:
                raise _useless(
                    space, number, f"{place}.stride={stride}", [one for one in first if one.stride == stride]
                )
        for repeat in stage.repeats:
            if Position(number, repeat) not in walk.left:
                raise _useless(space, number, f"{place}.repeat={repeat}", [one.repeated() for one in first])
        kinds = [dict(options) for options in {one.options for one in used}]
        several = len(stage.blocks[0].alternatives) > 1
        for index, one in enumerate(stage.blocks[0].alternatives):
            names = dict(one.options or {})
            same = [kind for kind in kinds if kind.keys() == names.keys() and kind["block"] in names["block"]]
            for option, values in names.items():
                for value in values:
                    if not any(kind[option] == value for kind in same):
                        where = f"{place}.blocks{f'[{index}]' if several else ''}.{option}={label(value)}"
                        with_it = [block for block in first if (option, value) in block.options]
                        raise _useless(space, number, where, with_it)


class _Walk:
    """Walks over the sequences of blocks of a space."""

    def __init__(self, space: Space) -> None:
        self.stages = space.stages
        self.first = [stage.first() for stage in space.stages]
        self.used: set[tuple[Position, Block]] = set()
        """The blocks of networks that can be built, each with the place behind it."""
        self.left: set[Position] = set()
        """Where such networks leave a stage."""
        self._sets: dict[int, set[Block]] = {}
        self._counts: dict[Any, int] = {}
        self._alive: dict[Any, bool] = {}

    def count(self, positions: frozenset[Position], last: Block, maps: Maps) -> int:
        """How many ways there are to go on behind the block `last`, which may have led to any of `positions`."""
        key = (positions, last, maps)
        if key not in self._counts:
            starts = frozenset(stage for position in positions for stage in self._next_stages(position))
            ways = int(any(map(self._may_end, positions))) + self.count_starts(starts, maps)
            own: dict[Block, set[Position]] = {}
            for position in positions:
                for block in self._next_blocks(position, last):
                    own.setdefault(block, set()).add(Position(position.stage, position.done + 1))
            for block, behind in own.items():
                also = {Position(stage, 1) for stage in starts if block in self._firsts(stage)}
                if (after := _after(block, maps)) is not None:
                    # What both ways of reading the block lead to counts once.
                    ways += self.count(frozenset(behind | also), block, after)
                    ways -= self.count(frozenset(also), block, after) if also else 0
            self._counts[key] = ways
        return self._counts[key]

    def count_starts(self, stages: frozenset[int], maps: Maps) -> int:
        """How many ways there are to go on with a first block of any of `stages`."""
        key = (stages, maps)
        if key not in self._counts:
            ways = 0
            for block in dict.fromkeys(block for stage in sorted(stages) for block in self.first[stage]):
                if (after := _after(block, maps)) is not None:
                    behind = frozenset(Position(stage, 1) for stage in stages if block in self._firsts(stage))
                    ways += self.count(behind, block, after)
            self._counts[key] = ways
        return self._counts[key]

    def mark(self, position: Position, last: Block, maps: Maps) -> bool:
        """Whether a network can go on from `position`; what it goes through is noted in `used` and `left`."""
        key = (position, last, maps)
        if key not in self._alive:
            may_end = self._may_end(position)
            if may_end:
                self.left |= {Position(later, 0) for later in range(position.stage + 1, len(self.stages))}
            leaves = [self.mark_start(position.stage, stage, maps) for stage in self._next_stages(position)]
            if may_end or any(leaves):
                self.left.add(position)
            alive = may_end or any(leaves)
            for block in self._next_blocks(position, last):
                behind, after = Position(position.stage, position.done + 1), _after(block, maps)
                if after is not None and self.mark(behind, block, after):
                    alive = True
                    self.used.add((behind, block))
            self._alive[key] = alive
        return self._alive[key]

    def mark_start(self, before: int, stage: int, maps: Maps) -> bool:
        """The same from the stage `before`, which is left, to a first block of `stage`."""
        key = (before, stage, maps)
        if key not in self._alive:
            self._alive[key] = False
            for block in self.first[stage]:
                after = _after(block, maps)
                if after is not None and self.mark(Position(stage, 1), block, after):
                    self._alive[key] = True
                    self.used.add((Position(stage, 1), block))
            if self._alive[key]:
                self.left |= {Position(skipped, 0) for skipped in range(before + 1, stage)}
        return self._alive[key]

    def starts(self) -> list[int]:
        """The stages that a network may begin with."""
        return self._next_stages(Position(-1, 0))

    def _next_stages(self, position: Position) -> list[int]:
        """The stages that may begin where `position` is."""
        if position.stage >= 0 and position.done not in self.stages[position.stage].repeats:
            return []
        found = []
        for stage in range(position.stage + 1, len(self.stages)):
            found.append(stage)
            if 0 not in self.stages[stage].repeats:
                break
        return found

    def _next_blocks(self, position: Position, last: Block) -> list[Block]:
        """The blocks that may follow `last` in its stage."""
        stage = self.stages[position.stage]
        if max(stage.repeats) <= position.done:
            return []
        if not stage.each:
            return [last.repeated()]
        return list(dict.fromkeys(one.repeated() for one in self.first[position.stage] if one.out == last.out))

    def _may_end(self, position: Position) -> bool:
        later = self.stages[position.stage + 1 :]
        return position.done in self.stages[position.stage].repeats and all(0 in one.repeats for one in later)

    def _firsts(self, stage: int) -> set[Block]:
        if stage not in self._sets:
            self._sets[stage] = set(self.first[stage])
        return self._sets[stage]


def _after(block: Block, maps: Maps) -> Maps | None:
    """What `block` makes of `maps`; None if it cannot be built for them."""
    if problem(block, maps.channels):
        return None
    after = maps_after(block, maps)
    return after if after.side > 0 else None


def _useless(space: Space, number: int, choice: str, blocks: Iterable[Block]) -> UserError:
    """The error for a choice that is in no network; with a reason, if a block with it says one."""
    before = {maps.channels for maps in _stems(space)} | {out for stage in space.stages[:number] for out in stage.outs}
    own = set(space.stages[number].outs)
    reasons = (problem(block, inputs) for block in blocks for inputs in sorted(before | own, reverse=True))
    reason = next((one for one in reasons if one), None)
    why = f": {reason}" if reason else ""
    return UserError(
        f"{choice} is in no network of this space that can be built{why}",
        "Change the choices that do not go together, or leave this one out.",
    )


def _stems(space: Space) -> list[Maps]:
    return [maps_of_stem(stem, side) for stem in space.stem.all() if stem is not None for side in space.image_sizes]
