"""A checkpoint → an ONNX file that has passed a comparison with the model; without it, no file is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hmr_light.backbones.state_dicts import refuse_not_finite
from hmr_light.body import SMPL
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.loading import DIVERGED
from hmr_light.cost.parameters import count_parameters
from hmr_light.deployment.metadata import metadata
from hmr_light.deployment.network import OUTPUTS, DeployedNetwork, prepare
from hmr_light.deployment.onnx_graph import INPUT, onnx_graph, slim
from hmr_light.deployment.parity import Parity, measure_parity
from hmr_light.deployment.posing import PosedBody
from hmr_light.deployment.precision import choose_precision, store
from hmr_light.deployment.scoring import Scored
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.model.integers import with_float_weights
from hmr_light.model.onnx_predictor import METADATA, OnnxPredictor, open_onnx
from hmr_light.model.sharing import with_own_weights
from hmr_light.paths import atomic_write

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Exported:
    """A file that was written, and what it was found to be."""

    path: Path
    size: int
    """Bytes."""
    precision: str
    parity: Parity
    scored: Scored | None


def export_onnx(
    checkpoint: Checkpoint,
    body: SMPL,
    out: Path,
    *,
    precision: str | None = None,
    pixels: str = "uint8",
    outputs: str = "parameters",
    tracking_uri: str | None = None,
    judge: Callable[[HMR, OnnxPredictor], Scored | None] = lambda model, file: None,
) -> Exported:
    """Write the model of `checkpoint` to `out`, atomically, once ONNX Runtime gives what the model gives.

    `precision` None is the model's own (see `choose_precision`), `pixels` is the type of the crops, `outputs` a key of
    `OUTPUTS`; joints and mesh are those of `body`, whose numbers are in the file then. `judge` scores a file with
    rounded weights beside the model (see `score_both`). Raises `UserError` for a model that cannot be exported or whose
    file gives something else, and for weights that are not finite; `out` is as before then.
    """
    precision = choose_precision(checkpoint, precision)
    refuse_not_finite(checkpoint.state, checkpoint.path, DIVERGED)
    model = checkpoint.build()
    size = int(checkpoint.config["data"]["image_size"])
    posed = None if outputs == "parameters" else PosedBody(body, with_mesh=outputs == "mesh")
    network = DeployedNetwork(prepare(with_float_weights(with_own_weights(model))), pixels, posed)
    graph = onnx_graph(network, size, OUTPUTS[outputs])
    store(graph, model, precision)
    slim(graph)
    shapes = {one.name: [each.dim_value for each in one.type.tensor_type.shape.dim][1:] for one in graph.graph.output}
    entry = graph.metadata_props.add()
    entry.key = METADATA
    entry.value = json.dumps(
        metadata(
            checkpoint,
            body,
            parameters=count_parameters(with_float_weights(model)).total,
            precision=precision,
            input_name=INPUT,
            pixels=pixels,
            outputs=shapes,
            tracking_uri=tracking_uri,
        )
    )
    with atomic_write(out) as temporary:
        _write(graph, temporary)
        predictor = open_onnx(temporary)
        parity = measure_parity(predictor, model, body)
        parity.check(precision)
        scored = None if precision == "float32" else judge(model, predictor)
        if scored:
            scored.check()
    return Exported(out, out.stat().st_size, precision, parity, scored)


def _write(graph: ModelProto, path: Path) -> None:
    try:
        content = graph.SerializeToString()
    except ValueError as error:  # a file of protocol buffers has 2 GB at most
        raise UserError(f"the model does not fit into one ONNX file: {error}", "Choose a smaller model.") from error
    path.write_bytes(content)
