"""How the weights in a file are stored: which ways a model has, and the graph rewritten for each.

Weights are found by their names, which the exporter keeps. Each becomes what a few nodes compute of a smaller tensor; a
runtime computes constants once, when it loads the file. The numbers of a body stay float32: a template's half precision
is half a millimetre.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.config.hints import command_line
from hmr_light.deployment.integer_paths import IntegerPaths, Rounding
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.model.integers import Int8Weights
from hmr_light.model.sharing import SharedWeights

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

PRECISIONS = ("float32", "float16", "int8", "codebook")
_MODEL = "model."
"""Before the names of the weights of `DeployedNetwork.model`."""
_FEW = 32
"""Numbers that are not worth the nodes which smaller ones need."""
_LARGEST_HALF = 65504.0
_SAME = 1e-5


class Codebook(NamedTuple):
    """A layer's weights as indices into a few values."""

    indices: np.ndarray
    """uint8, of the weights' shape."""
    values: np.ndarray


class Integers(NamedTuple):
    """A layer in integers; see `hmr_light.model.integers`."""

    weight: np.ndarray
    """int8."""
    scale: np.ndarray
    """(out,) float32."""
    input_scale: np.ndarray
    """(): float32."""
    input_zero_point: np.ndarray
    """(): uint8."""


def choose_precision(checkpoint: Checkpoint, asked: str | None) -> str:
    """The precision of the file of `checkpoint`; None for that of the model itself.

    Raises `UserError` for one that would need another model.
    """
    steps = {change["name"] for change in checkpoint.transforms}
    own = "int8" if "int8" in steps else "codebook" if "share" in steps else "float32"
    possible = {"int8": ("int8",), "codebook": ("codebook", "float32", "float16"), "float32": ("float32", "float16")}
    if asked is None or asked in possible[own]:
        return asked or own
    if own == "int8":
        raise UserError(
            f"{checkpoint.path} computes in integers: with precision={asked} it would be another model",
            "Leave precision= out, or export the checkpoint that it was made from.",
        )
    step = {"int8": "int8", "codebook": "share"}[asked]
    first = command_line("compress", {"checkpoint": checkpoint.path, "compression": step})
    raise UserError(
        f"precision={asked} is for models that `compress` has made by compression={step}; {checkpoint.path} is none",
        f"First make one: {first}",
    )


@torch.no_grad()
def codebooks(model: HMR) -> dict[str, Codebook]:
    """The layers of `model` that share weights, by name."""
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, SharedWeights):
            zero = layer.codebook.new_zeros(int(layer.has_zero))
            found[name] = Codebook(layer.indices.numpy(), torch.cat((zero, layer.codebook)).numpy())
    return found


@torch.no_grad()
def integers(model: HMR) -> dict[str, Integers]:
    """The layers of `model` that compute in integers, by name."""
    return {
        name: Integers(
            layer.quantised_weight().to(torch.int8).numpy(),
            layer.weight_scale.numpy(),
            layer.input_scale.numpy(),
            layer.input_zero_point.to(torch.uint8).numpy(),
        )
        for name, layer in model.named_modules()
        if isinstance(layer, Int8Weights)
    }


def store(graph: ModelProto, model: HMR, precision: str) -> None:
    """Store the weights in `graph`, the network of `model`, in place."""
    rewriter = _Rewriter(graph)
    if precision == "codebook":
        for name, book in codebooks(model).items():
            rewriter.look_up(f"{_MODEL}{name}.weight", book)
    if precision == "int8":
        for name, layer in integers(model).items():
            rewriter.quantise(f"{_MODEL}{name}", layer)
        rewriter.paths.join()
    if precision in ("float16", "codebook"):
        for name in rewriter.weights():
            rewriter.halve(name)
    rewriter.write()


class _Rewriter:
    """A graph whose constants become nodes; `write` puts the new graph in the place of the old one."""

    def __init__(self, model: ModelProto) -> None:
        from onnx import numpy_helper

        self._graph = model.graph
        self._constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self._first: list[NodeProto] = []
        self.paths = IntegerPaths(model.graph, self._constants)

    def weights(self) -> Iterator[str]:
        """The names of float32 weights and biases of the network that are not stored in another way yet."""
        for name, value in list(self._constants.items()):
            ends = name.startswith(_MODEL) and name.endswith((".weight", ".bias"))
            if ends and value.dtype == np.float32 and value.size >= _FEW:
                yield name

    def halve(self, name: str) -> None:
        """Store a constant in float16, where that has its numbers."""
        value = self._constants[name]
        if np.abs(value).max() <= _LARGEST_HALF:
            self._constants[f"{name}:16"] = value.astype(np.float16)
            del self._constants[name]
            self._node("Cast", [f"{name}:16"], name, to=1)

    def look_up(self, name: str, book: Codebook) -> None:
        """Store a weight as indices into a codebook in float16, times a factor for each output channel.

        The factors are those by which the weight differs from what its layer looks up: batch norms that are within it,
        and the layer's own. A weight that is something else is left as it is.
        """
        weight = self._constants.get(name)
        if weight is None or weight.shape != book.indices.shape:
            return
        plain = book.values.astype(np.float64)[book.indices].reshape(len(weight), -1)
        rows = weight.astype(np.float64).reshape(len(weight), -1)
        squares = (plain**2).sum(1)
        factors = np.where(squares > 0, (rows * plain).sum(1) / np.where(squares > 0, squares, 1), 0)
        if np.abs(rows - factors[:, None] * plain).max() > _SAME * np.abs(rows).max():
            return
        del self._constants[name]
        self._constants |= {
            f"{name}:indices": book.indices,
            f"{name}:values": book.values.astype(np.float16),
            f"{name}:factors": factors.astype(np.float32).reshape(-1, *[1] * (weight.ndim - 1)),
        }
        # Indices are wider integers by the standard.
        self._node("Cast", [f"{name}:indices"], f"{name}:wide", to=6)
        self._node("Gather", [f"{name}:values", f"{name}:wide"], f"{name}:half", axis=0)
        self._node("Cast", [f"{name}:half"], f"{name}:single", to=1)
        self._node("Mul", [f"{name}:single", f"{name}:factors"], name)

    def quantise(self, layer: str, integers: Integers) -> None:
        """Store a layer's weight and bias as integers, and let its input be rounded to integers."""
        name, bias = f"{layer}.weight", f"{layer}.bias"
        places = [at for at, node in enumerate(self._graph.node) if name in node.input]
        assert len(places) == 1, f"{name} has {len(places)} users"
        node = self._graph.node[places[0]]
        del self._constants[name]
        self._constants |= {f"{name}:8": integers.weight, f"{name}:scale": integers.scale}
        self._node("DequantizeLinear", [f"{name}:8", f"{name}:scale"], name, axis=0)
        if bias in node.input:
            scale = integers.input_scale.astype(np.float64) * integers.scale
            whole = np.round(self._constants.pop(bias) / scale).clip(-(2**31), 2**31 - 1)
            self._constants |= {f"{bias}:32": whole.astype(np.int32), f"{bias}:scale": scale.astype(np.float32)}
            self._node("DequantizeLinear", [f"{bias}:32", f"{bias}:scale"], bias, axis=0)
        rounding = Rounding(node.input[0], float(integers.input_scale), int(integers.input_zero_point))
        self.paths.round_input(places[0], 0, rounding)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self._first.append(helper.make_node(kind, inputs, [output], **attributes))

    def write(self) -> None:
        """Make the graph anew: first what computes constants, and before a layer what rounds its input."""
        from onnx import helper, numpy_helper

        before: dict[int, list[NodeProto]] = {}
        for rounding, at in self.paths.places.items():
            (value, scale, zero), name = rounding, rounding.name
            ends = [f"{name}:scale", f"{name}:zero"]
            self._constants |= {ends[0]: np.array(scale, np.float32), ends[1]: np.array(zero, np.uint8)}
            before.setdefault(at, []).extend(
                (
                    helper.make_node("QuantizeLinear", [value, *ends], [f"{name}:8"]),
                    helper.make_node("DequantizeLinear", [f"{name}:8", *ends], [name]),
                )
            )
        nodes = list(self._first)
        for at, node in enumerate(self._graph.node):
            nodes += [*before.get(at, ()), node]
        constants = [numpy_helper.from_array(np.array(one, order="C"), name) for name, one in self._constants.items()]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(nodes)
        self._graph.initializer.extend(constants)
