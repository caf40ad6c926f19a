"""The kinds of files: how each is written from a network, and what reads it again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from hmr_light.deployment.network import DeployedNetwork
from hmr_light.deployment.onnx_graph import cannot_export, onnx_graph, quiet, slim
from hmr_light.deployment.precision import store
from hmr_light.errors import UserError
from hmr_light.model.executorch_predictor import OUTPUTS, open_executorch
from hmr_light.model.file_predictor import METADATA, FilePredictor, optional_package
from hmr_light.model.hmr import HMR
from hmr_light.model.onnx_predictor import open_onnx
from hmr_light.model.openvino_predictor import WEIGHTS, open_openvino

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Content:
    """What goes into a file."""

    network: DeployedNetwork
    model: HMR
    """The network's, as its checkpoint has it: with shared weights, or integers."""
    size: int
    """Of the crops, pixels."""
    outputs: tuple[str, ...]
    precision: str
    metadata: str

    @cached_property
    def graph(self) -> ModelProto:
        """As an ONNX graph."""
        graph = onnx_graph(self.network, self.size, self.outputs)
        store(graph, self.model, self.precision)
        slim(graph)
        entry = graph.metadata_props.add()
        entry.key, entry.value = METADATA, self.metadata
        return graph


class Format(NamedTuple):
    """A kind of file."""

    endings: tuple[str, ...]
    """Of the names of its files; the first is the one that users name."""
    packages: tuple[str, ...]
    """Modules that writing needs, all of the extra that is called as the format is."""
    write: Callable[..., None]
    """(content, *files)."""
    open: Callable[..., FilePredictor]
    """(*files)."""


def _write_onnx(content: Content, file: Path) -> None:
    file.write_bytes(_serialized(content.graph))


def _write_openvino(content: Content, file: Path, weights: Path) -> None:
    """The ONNX graph as OpenVINO reads it. The description holds the hash of the weights, which lie in another file."""
    openvino = optional_package("openvino", "openvino")
    passes = optional_package("openvino.passes", "openvino")
    model = openvino.Core().read_model(_serialized(content.graph), b"")
    if content.precision == "float32":  # other precisions are what their constants are computed of
        manager = passes.Manager()
        manager.register_pass(passes.ConstantFolding())
        manager.run_passes(model)
    model.set_rt_info(content.metadata, METADATA)
    openvino.serialize(model, str(file), str(weights))
    model.set_rt_info(hashlib.sha256(weights.read_bytes()).hexdigest(), WEIGHTS)
    openvino.serialize(model, str(file), str(weights))


@torch.no_grad()
def _write_executorch(content: Content, file: Path) -> None:
    """The network for one crop, in float32, its layers by XNNPACK."""
    exir = optional_package("executorch.exir", "executorch")
    xnnpack = optional_package("executorch.backends.xnnpack.partition.xnnpack_partitioner", "executorch")
    if content.precision != "float32":
        raise UserError(
            f"format=executorch stores weights in float32 alone: an ExecuTorch program computes with its constants as "
            f"they are stored, and this model's are {content.precision}",
            "Give precision=float32 where the model allows it, or another format.",
        )
    network = content.network.cpu().eval()
    said = {METADATA: content.metadata, OUTPUTS: ",".join(content.outputs)}
    try:
        with quiet():
            traced = torch.export.export(network, (network.example(content.size, batch=1),), strict=False)
            lowered = exir.to_edge_transform_and_lower(
                traced, partitioner=[xnnpack.XnnpackPartitioner()], constant_methods=said
            )
            program = lowered.to_executorch().buffer
    except Exception as error:  # whatever it makes of a network that it does not know
        raise cannot_export(error) from error
    file.write_bytes(program)


def _serialized(graph: ModelProto) -> bytes:
    try:
        content: bytes = graph.SerializeToString()
    except ValueError as error:  # a file of protocol buffers has 2 GB at most
        raise UserError(f"the model does not fit into one ONNX file: {error}", "Choose a smaller model.") from error
    return content


FORMATS = {
    "onnx": Format((".onnx",), ("onnx", "onnxscript", "onnxruntime"), _write_onnx, open_onnx),
    "openvino": Format(
        (".xml", ".bin"),
        ("onnx", "onnxscript", "openvino"),
        _write_openvino,
        lambda file, weights: open_openvino(file, weights=weights),
    ),
    "executorch": Format((".pte",), ("executorch.exir",), _write_executorch, open_executorch),
}
