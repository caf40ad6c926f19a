"""Where an integer network is rounded, so that its layers hand on integers instead of floating-point numbers.

A model in integers says how each layer's input is rounded. A runtime computes a layer in integers where its result is
rounded too, and nothing else uses it. Between layers there are sums (of residual blocks) and movements (concatenation,
pooling), behind which only the result is rounded.

- What a movement is made of can be rounded as its result is: the numbers stay the same.
- A sum's parts are rounded as well. Of the block's input the rounding is known. The other part lies within the
  difference of the result's range and the input's, for what is outside is cut off with the result.
- ReLU6 gives 0 to 6.

The last two round once more than the model does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hmr_light.model.integers import LEVELS

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_MOVEMENTS = frozenset(("Concat", "Flatten", "Identity", "MaxPool", "Reshape", "Split", "Squeeze", "Transpose"))


class Rounding(NamedTuple):
    """A value that is rounded to uint8 and back."""

    value: str
    scale: float
    zero: int

    @property
    def name(self) -> str:
        """Of the rounded value."""
        return f"{self.value}:rounded:{self.scale}:{self.zero}"

    @property
    def least(self) -> float:
        return -self.zero * self.scale

    @property
    def most(self) -> float:
        return (LEVELS - self.zero) * self.scale

    @staticmethod
    def of_range(value: str, least: float, most: float) -> Rounding:
        """`least` ≤ 0 ≤ `most`."""
        scale = float(np.float32((most - least) / LEVELS))
        return Rounding(value, scale, round(-least / scale))


class IntegerPaths:
    """The roundings of a graph, and the first node that takes each; `join` adds more of them."""

    def __init__(self, graph: GraphProto, constants: Mapping[str, np.ndarray]) -> None:
        self.places: dict[Rounding, int] = {}
        self._nodes = list(graph.node)
        self._constants = constants
        self._results = {one.name for one in graph.output}
        self._makers = {name: node for node in self._nodes for name in node.output}
        self._users: dict[str, list[int]] = defaultdict(list)
        for place, node in enumerate(self._nodes):
            for name in node.input:
                self._users[name].append(place)
        self._of: dict[str, list[Rounding]] = defaultdict(list)

    def round_input(self, place: int, position: int, rounding: Rounding) -> None:
        """Let a node take the rounded value."""
        node = self._nodes[place]
        assert node.input[position] == rounding.value
        node.input[position] = rounding.name
        self._users[rounding.value].remove(place)
        if rounding not in self.places:
            self._of[rounding.value].append(rounding)
        self.places[rounding] = min(place, self.places.get(rounding, place))

    def join(self) -> None:
        """Round what layers hand on through sums, ReLU6 and movements."""
        for place, node in enumerate(self._nodes):
            if node.op_type == "Add":
                self._round_parts(place, node)
        for node in self._nodes:
            if node.op_type == "Clip":
                self._round_result(node)
        waiting = list(self.places)
        while waiting:
            waiting += self._move(waiting.pop())

    def _round_parts(self, place: int, node: NodeProto) -> None:
        parts, result = list(node.input), node.output[0]
        after = [self._nodes[one] for one in self._users[result]]
        if [one.op_type for one in after] == ["Relu"] and not self._of[result]:
            result = after[0].output[0]
        others = {self._nodes[one].op_type for one in self._users[result]}
        known = [self._of[part] for part in parts]
        if len(self._of[result]) != 1 or others - {"Add"} or sorted(map(len, known)) != [0, 1]:
            return
        whole, ((block,),) = self._of[result][0], [one for one in known if one]
        rest = parts[known.index([])]
        if len(self._users[rest]) != 1 or not self._is_of_integers(rest):
            return
        least, most = whole.least - block.most, whole.most - block.least
        for rounding in (block, Rounding.of_range(rest, min(least, 0.0), max(most, 0.0))):
            self.round_input(place, parts.index(rounding.value), rounding)

    def _round_result(self, node: NodeProto) -> None:
        ends = [self._constants.get(name) for name in node.input[1:]]
        result = node.output[0]
        if len(ends) != 2 or any(one is None for one in ends) or self._of[result] or result in self._results:
            return
        least, most = (float(one) for one in ends if one is not None)
        if least == 0 < most and self._is_of_integers(result):
            rounding = Rounding.of_range(result, least, most)
            for place in list(self._users[result]):
                self.round_input(place, list(self._nodes[place].input).index(result), rounding)

    def _move(self, rounding: Rounding) -> list[Rounding]:
        """Round what the value is made of, where it is moved alone and used nowhere else."""
        value = rounding.value
        node = self._makers.get(value)
        if node is None or node.op_type not in _MOVEMENTS or value in self._results:
            return []
        if any(self._users[name] or len(self._of[name]) > 1 for name in node.output):
            return []
        if any(one[1:] != rounding[1:] for name in node.output for one in self._of[name]):
            return []
        place = self._nodes.index(node)
        added = []
        for position, name in enumerate(node.input if node.op_type == "Concat" else node.input[:1]):
            if name not in self._constants and name in self._makers:
                before = Rounding(name, *rounding[1:])
                added += [] if before in self.places else [before]
                self.round_input(place, position, before)
        return added

    def _is_of_integers(self, value: str) -> bool:
        """Whether a value is what a layer gives whose input is rounded, activated or not."""
        node = self._makers.get(value)
        if node is not None and node.op_type in ("Clip", "Relu"):
            node = self._makers.get(node.input[0])
        return node is not None and node.op_type in ("Conv", "Gemm") and ":rounded:" in node.input[0]
