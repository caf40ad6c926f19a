"""Roundings between the layers of an integer network: none changes a number by more than its step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from hmr_light.deployment.integer_paths import Rounding
from hmr_light.deployment.precision import Integers, _Rewriter

RELU, RELU6 = ("Relu",), ("Clip", "least", "six")


class Network:
    """Convolutions of random weights, which are made integers one after the other, each with its input's true range."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.nodes: list[onnx.NodeProto] = []
        self.constants = {"least": np.array(0, np.float32), "six": np.array(6, np.float32)}
        self.layers: list[tuple[str, str]] = []

    def node(self, kind: str, inputs: Sequence[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(self, value: str, name: str, activation: tuple[str, ...] = (), channels: int = 4) -> str:
        self.constants[f"{name}.weight"] = self.rng.normal(0, 0.5, (4, channels, 1, 1)).astype(np.float32)
        self.constants[f"{name}.bias"] = self.rng.normal(0, 0.5, 4).astype(np.float32)
        self.layers.append((name, value))
        made = self.node("Conv", [value, f"{name}.weight", f"{name}.bias"], f"{name}.out")
        return self.node(activation[0], [made, *activation[1:]], f"{name}.active") if activation else made

    def model(self, results: Sequence[str]) -> ModelProto:
        value = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4, 8, 8])
        outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, None, None]) for name in results]
        constants = [numpy_helper.from_array(one, name) for name, one in self.constants.items()]
        graph = helper.make_graph(self.nodes, "g", [value], outputs, constants)
        return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])

    def integer(self, result: str, image: np.ndarray, *, joined: bool) -> ModelProto:
        """The network in integers; `joined`, with roundings between the layers too."""
        ranges = run(self.model([value for _, value in self.layers if value != "image"]), image) | {"image": image}
        model = self.model([result])
        rewriter = _Rewriter(model)
        for name, value in self.layers:
            weight = self.constants[f"{name}.weight"]
            scale = np.abs(weight).reshape(4, -1).max(1) / 127
            of_input = Rounding.of_range(value, min(ranges[value].min(), 0.0), max(ranges[value].max(), 0.0))
            integers = np.round(weight / scale.reshape(4, 1, 1, 1)).astype(np.int8)
            ends = np.array(of_input.scale, np.float32), np.array(of_input.zero, np.uint8)
            rewriter.quantise(name, Integers(integers, scale.astype(np.float32), *ends))
        if joined:
            rewriter.paths.join()
        self.roundings = list(rewriter.paths.places)
        rewriter.write()
        onnx.checker.check_model(model, full_check=True)
        return model


def run(model: ModelProto, image: np.ndarray) -> dict[str, np.ndarray]:
    """Node by node, as the standard has it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([one.name for one in session.get_outputs()], session.run(None, {"image": image}), strict=True))


def taken_as_numbers(model: ModelProto) -> set[str]:
    """The layers whose results something takes unrounded, the last one aside."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)

    def is_rounded(value: str) -> bool:
        return all(
            one.op_type == "QuantizeLinear" or (one.op_type in ("Relu", "Clip") and is_rounded(one.output[0]))
            for one in users.get(value, [])
        )

    return {node.output[0] for node in model.graph.node if node.op_type == "Conv" and not is_rounded(node.output[0])}


@pytest.fixture
def network() -> Network:
    return Network(np.random.default_rng())


@pytest.fixture
def image(network: Network) -> np.ndarray:
    return network.rng.normal(0, 1, (1, 4, 8, 8)).astype(np.float32)


def test_movements_take_rounded_numbers_and_change_none(network: Network, image: np.ndarray) -> None:
    squeezed = network.conv("image", "squeeze", RELU)
    parts = [network.conv(squeezed, name, RELU) for name in ("one", "two")]
    pooled = network.node("MaxPool", [network.node("Concat", parts, "both", axis=1)], "pooled", kernel_shape=[2, 2])
    result = network.conv(pooled, "last", channels=8)
    before = network.integer(result, image, joined=False)
    after = network.integer(result, image, joined=True)
    assert taken_as_numbers(before) == {"one.out", "two.out"}
    assert not taken_as_numbers(after)
    np.testing.assert_array_equal(run(after, image)[result], run(before, image)[result])


def test_parts_of_sums_are_rounded_within_their_steps(network: Network, image: np.ndarray) -> None:
    start = network.conv("image", "start")
    first = network.node("Add", [start, network.conv(start, "branch")], "first")
    second = network.node("Add", [network.conv(first, "again", RELU6), first], "second")
    end = network.conv(second, "end")
    before = network.integer(end, image, joined=False)
    known = set(network.roundings)
    after = network.integer(end, image, joined=True)
    assert taken_as_numbers(before) == {"start.out", "branch.out"} | {"again.out"}
    assert not taken_as_numbers(after)

    # What a rounding adds is half a step; what is cut off is cut off with the sum too. A sum that is a little different
    # is rounded to a number that is away by so much and a step more.
    steps = {rounding.value: rounding.scale for rounding in network.roundings}
    assert len(steps) == len(network.roundings) == len(known) + 2
    of_first = (steps["start.out"] + steps["branch.out"]) / 2
    of_again = np.abs(network.constants["again.weight"]).sum((1, 2, 3)).max() * 1.01 * (of_first + steps["first"])
    of_second = of_first + 1.5 * steps["first"] + of_again + steps["again.active"] / 2
    bound = np.abs(network.constants["end.weight"]).sum((1, 2, 3)).max() * 1.01 * (of_second + steps["second"])
    difference = np.abs(run(after, image)[end] - run(before, image)[end]).max()
    assert difference <= bound


def test_a_sum_that_is_used_as_it_is_stays(network: Network, image: np.ndarray) -> None:
    start = network.conv("image", "start")
    total = network.node("Add", [start, network.conv(start, "branch")], "total")
    mixed = network.node("Mul", [total, network.conv(total, "other")], "mixed")
    result = network.conv(mixed, "end")
    before = network.integer(result, image, joined=False)
    after = network.integer(result, image, joined=True)
    assert [node.op_type for node in before.graph.node] == [node.op_type for node in after.graph.node]
