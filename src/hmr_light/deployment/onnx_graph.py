"""A network → an ONNX graph (https://onnx.ai), in few bytes."""

from __future__ import annotations

import contextlib
import io
import logging
import string
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from hmr_light.deployment.network import DeployedNetwork
from hmr_light.errors import UserError, out_of_memory
from hmr_light.model.file_predictor import optional_package

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18
"""Of ONNX's operators: the version that torch's exporter writes without converting."""
INPUT, BATCH = "image", "batch"
_LETTERS = string.ascii_letters + string.digits


@torch.no_grad()
def onnx_graph(network: DeployedNetwork, size: int, outputs: Sequence[str]) -> ModelProto:
    """The graph of `network`, for any number of crops of `size` pixels a side at once; weights keep their names.

    Raises `UserError` for a network that torch cannot export, and without the packages of the extra `onnx`.
    """
    for package in ("onnx", "onnxscript"):
        optional_package(package)
    network = network.cpu().eval()
    try:
        with quiet():
            # By itself the exporter would make the number of crops a constant where it cannot be anything.
            shapes = {"image": {0: torch.export.Dim(BATCH)}}
            traced = torch.export.export(network, (network.example(size),), dynamic_shapes=shapes, strict=False)
            program = torch.onnx.export(
                traced,
                (),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(outputs),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # whatever the exporter makes of a network that it does not know
        raise cannot_export(error) from error
    assert program is not None
    return program.model_proto


def cannot_export(error: Exception) -> UserError:
    """For what an exporter makes of a network that it does not know."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return out_of_memory(error) or UserError(
        f"torch cannot export this network: {reason}", "Choose another backbone or regressor."
    )


def slim(model: ModelProto) -> None:
    """Take out of `model`, in place, what no runtime needs: names, notes, shapes in between, constants held twice."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:], model.functions[:]
    aliases: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    used = {name for node in graph.node for name in node.input}
    kept = []
    for one in graph.initializer:
        content = (one.data_type, tuple(one.dims), one.SerializeToString() if not one.raw_data else one.raw_data)
        aliases[one.name] = first.setdefault(content, one.name)
        if one.name in used and aliases[one.name] == one.name:
            kept.append(one)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    public = {one.name for one in (*graph.input, *graph.output)}
    short: dict[str, str] = {name: name for name in ("", *public)}

    def named(name: str) -> str:
        name = aliases.get(name, name)
        return short.setdefault(name, f"_{_digits(len(short))}")

    for one in graph.initializer:
        one.name = named(one.name)
    for node in graph.node:
        node.name = ""
        node.input[:] = [named(name) for name in node.input]
        node.output[:] = [named(name) for name in node.output]


def _digits(number: int) -> str:
    text = _LETTERS[number % len(_LETTERS)]
    return text if number < len(_LETTERS) else _digits(number // len(_LETTERS)) + text


@contextlib.contextmanager
def quiet() -> Any:
    """Without what the exporter prints, logs and warns of: its progress, and advice to those who write exporters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
