"""MoveNet and its decoding as an ONNX graph, written node by node: tracing it would take a hundred times as long.

Weights are in float16, as the package has them; batch norms become a factor and a bias for each channel.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from hmr_light.backbones.mobilenet_v2 import InvertedResidual
from hmr_light.backbones.padding import SamePad
from hmr_light.deployment.onnx_graph import BATCH, INPUT, OPSET
from hmr_light.deployment.runtime.finding import LEAST_CENTER, MOST_PEOPLE
from hmr_light.model.movenet import IMAGE_SIZE, SOFTENING, STRIDE, Maps, MoveNet, center_weights

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

OUTPUTS = ("keypoints", "centers")
_SIDE = IMAGE_SIZE // STRIDE
_FLOAT = 1  # of TensorProto
_IR_VERSION = 10


def finder_graph(network: MoveNet, pixels: str) -> ModelProto:
    """The graph of what `hmr_light.deployment.finder.seen` computes, for any number of crops at once.

    `pixels` is the type of the crops: uint8 (B, S, S, 3), or float32 (B, 3, S, S). All strings are short.
    """
    from onnx import TensorProto, helper

    graph = _Graph()
    image = INPUT
    if pixels == "uint8":
        image = graph.node("Transpose", graph.node("Cast", image, to=_FLOAT), perm=[0, 3, 1, 2])
    image = graph.node("Sub", graph.node("Div", image, graph.number(127.5)), graph.number(1))
    with torch.no_grad():
        found = _decode(graph, _maps(graph, network, image))
    for name, value in zip(OUTPUTS, found, strict=True):
        graph.nodes.append(helper.make_node("Identity", [value], [name]))
    uint8 = pixels == "uint8"
    sides = [IMAGE_SIZE, IMAGE_SIZE, 3] if uint8 else [3, IMAGE_SIZE, IMAGE_SIZE]
    entry = helper.make_tensor_value_info(INPUT, TensorProto.UINT8 if uint8 else TensorProto.FLOAT, [BATCH, *sides])
    shapes = {"keypoints": (BATCH, MOST_PEOPLE + 1, 17, 3), "centers": (BATCH, MOST_PEOPLE + 1)}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shapes[name])) for name in OUTPUTS]
    proto = helper.make_graph(graph.nodes, "finder", [entry], ends, graph.constants)
    return helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)


class _Graph:
    """Nodes and constants, which get their names by number."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The name of a new node's output."""
        return self.split(kind, 1, *inputs, **attributes)[0]

    def split(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """The names of a new node's outputs."""
        from onnx import helper

        names = [f"n{len(self.nodes)}{letter}" for letter in "abc"[:count]]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names

    def constant(self, value: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def indices(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def reshape(self, value: str, *shape: int) -> str:
        """`shape` as ONNX has it: 0 keeps a side."""
        return self.node("Reshape", value, self.indices(*shape))

    def layers(self, layers: Iterable[nn.Module], value: str) -> str:
        """What a sequence of layers makes of `value`."""
        sequence = [leaf for layer in layers for leaf in layer.modules() if not isinstance(leaf, nn.Sequential)]
        for before, layer, after in zip([None, *sequence], sequence, [*sequence[1:], None], strict=False):
            if isinstance(layer, nn.Conv2d):
                norm = after if isinstance(after, nn.BatchNorm2d) else None
                value = self.convolution(layer, norm, value, same=isinstance(before, SamePad))
            elif isinstance(layer, nn.ReLU6):
                value = self.node("Clip", value, self.number(0), self.number(6))
            elif isinstance(layer, nn.ReLU):
                value = self.node("Relu", value)
            else:
                assert isinstance(layer, nn.BatchNorm2d | SamePad)
        return value

    def convolution(self, layer: nn.Conv2d, norm: nn.BatchNorm2d | None, value: str, *, same: bool) -> str:
        """A convolution and the batch norm after it. `same`: with TensorFlow's padding."""
        plain = layer.weight.numpy()
        weight = self.constant(plain)
        bias = np.zeros(len(plain)) if layer.bias is None else layer.bias.double().numpy()
        if np.array_equal(plain, half := plain.astype(np.float16)):
            self.constants.pop()
            weight = self.node("Cast", self.constant(half), to=_FLOAT)
        if norm is not None:
            mean, variance = norm.running_mean, norm.running_var
            assert mean is not None
            assert variance is not None
            factor = norm.weight.double().numpy() / np.sqrt(variance.double().numpy() + norm.eps)
            bias = norm.bias.double().numpy() + (bias - mean.double().numpy()) * factor
            weight = self.node("Mul", weight, self.constant(factor.astype(np.float32).reshape(-1, 1, 1, 1)))
        assert not isinstance(layer.padding, str)
        (rows, columns), strides = layer.padding, list(layer.stride)
        pads = {"auto_pad": "SAME_UPPER"} if same else {"pads": [rows, columns, rows, columns]}
        given = (value, weight, self.constant(bias.astype(np.float32)))
        return self.node("Conv", *given, group=layer.groups, strides=strides, **pads)


def _maps(graph: _Graph, network: MoveNet, value: str) -> dict[str, str]:
    """`MoveNet.forward`."""
    taps = {}
    for index, block in enumerate(network.features):
        if isinstance(block, InvertedResidual):
            changed = graph.layers(block.conv, value)
            value = graph.node("Add", value, changed) if block.shortcut else changed
        else:
            value = graph.layers([block], value)
        taps[str(index)] = value
    value = graph.layers([network.top], value)
    scales = graph.constant(np.array([1, 1, 2, 2], np.float32))
    for name, lateral in network.laterals.items():
        larger = graph.node("Resize", value, "", scales, mode="linear", coordinate_transformation_mode="half_pixel")
        value = graph.layers([network.merges[name]], graph.node("Add", larger, graph.layers([lateral], taps[name])))
    found = {name: graph.layers([head], value) for name, head in network.heads.items()}
    return found | {name: graph.node("Sigmoid", found[name]) for name in ("centers", "keypoints")}


def _decode(graph: _Graph, maps: dict[str, str]) -> tuple[str, str]:
    """`hmr_light.deployment.finder.seen`, of the maps. P is the number of people, N that of the maps' pixels."""
    people, count, side = MOST_PEOPLE + 1, _SIDE**2, graph.indices(_SIDE)
    centers = graph.reshape(maps["centers"], 0, count)
    pool = graph.node("MaxPool", maps["centers"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    is_peak = graph.node("Equal", graph.reshape(pool, 0, count), centers)
    is_sure = graph.node("GreaterOrEqual", centers, graph.number(LEAST_CENTER))
    rank = graph.node("Mul", centers, graph.constant(_center_weights()))
    peaks = graph.node("Where", graph.node("And", is_peak, is_sure), rank, graph.number(0))
    values, others = graph.split("TopK", 2, peaks, graph.indices(MOST_PEOPLE), axis=1)
    nearest = graph.node("ArgMax", rank, axis=1, keepdims=1)
    chosen = graph.node("Concat", nearest, others, axis=1)  # (B, P)
    is_there = graph.node("Greater", values, graph.number(0))
    always = graph.node("GreaterOrEqual", nearest, graph.indices(0))
    there = graph.node("Cast", graph.node("Concat", always, is_there, axis=1), to=_FLOAT)
    sure = graph.node("Mul", graph.node("GatherElements", centers, chosen, axis=1), there)

    def place(index: str) -> list[str]:
        """The row and the column of a pixel of the maps."""
        return [graph.node("Cast", graph.node(kind, index, side), to=_FLOAT) for kind in ("Div", "Mod")]

    def both(value: str) -> list[str]:
        """y and x (B, 17, P) of (B, 34, P)."""
        parts = graph.split("Split", 2, graph.reshape(value, 0, 17, 2, people), axis=2, num_outputs=2)
        return [graph.reshape(part, 0, 17, people) for part in parts]

    def at(name: str, index: str) -> str:
        """The values (B, 34, P) of a map of two for each keypoint, at pixels of the maps."""
        return graph.node("GatherElements", graph.reshape(maps[name], 0, 34, count), index, axis=2)

    centre = graph.reshape(chosen, 0, 1, people)
    for_all = graph.node("Expand", centre, graph.indices(1, 34, 1))
    squares = []
    for guess, own, shape in zip(both(at("regression", for_all)), place(centre), ((-1, 1), (1, -1)), strict=True):
        guess = graph.reshape(graph.node("Add", guess, own), 0, 17, people, 1, 1)
        away = graph.node("Sub", graph.constant(np.arange(_SIDE, dtype=np.float32).reshape(shape)), guess)
        squares.append(graph.node("Mul", away, away))
    distance = graph.node("Sqrt", graph.node("Add", *squares))
    heat = graph.reshape(maps["keypoints"], 0, 17, 1, _SIDE, _SIDE)
    likely = graph.node("Div", heat, graph.node("Add", distance, graph.number(SOFTENING)))
    best = graph.node("ArgMax", graph.reshape(likely, 0, 17, people, count), axis=3, keepdims=0)  # (B, 17, P)
    score = graph.node("GatherElements", graph.reshape(heat, 0, 17, count), best, axis=2)
    twice = graph.node("Expand", graph.reshape(best, 0, 17, 1, people), graph.indices(1, 1, 2, 1))
    offsets = both(at("offsets", graph.reshape(twice, 0, 34, people)))
    y, x = (
        graph.node("Mul", graph.node("Add", offset, own), graph.number(STRIDE))
        for offset, own in zip(offsets, place(best), strict=True)
    )
    parts = [graph.reshape(part, 0, 17, people, 1) for part in (x, y, score)]
    return graph.node("Transpose", graph.node("Concat", *parts, axis=3), perm=[0, 2, 1, 3]), sure


def _center_weights() -> np.ndarray:
    empty = torch.zeros(1, 1, _SIDE, _SIDE)
    return center_weights(Maps(empty, empty, empty, empty)).flatten().numpy()
