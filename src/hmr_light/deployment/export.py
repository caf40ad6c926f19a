"""A checkpoint → a file for another runtime that has passed a comparison with the model; without it, none is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from hmr_light.backbones.state_dicts import refuse_not_finite
from hmr_light.body import SMPL
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.loading import DIVERGED
from hmr_light.cost.parameters import count_parameters
from hmr_light.deployment.formats import FORMATS, Content
from hmr_light.deployment.metadata import metadata
from hmr_light.deployment.network import OUTPUTS, DeployedNetwork, prepare
from hmr_light.deployment.onnx_graph import INPUT
from hmr_light.deployment.parity import Parity, measure_parity
from hmr_light.deployment.posing import PosedBody
from hmr_light.deployment.precision import choose_precision
from hmr_light.deployment.scoring import Scored
from hmr_light.model.file_predictor import FilePredictor
from hmr_light.model.hmr import HMR
from hmr_light.model.integers import with_float_weights
from hmr_light.paths import atomic_write


@dataclass(frozen=True)
class Exported:
    """A file that was written, and what it was found to be."""

    path: Path
    size: int
    """Bytes, of all its parts."""
    precision: str
    version: str
    """Of the runtime that compared it with the model."""
    parity: Parity
    scored: Scored | None


def export_file(
    checkpoint: Checkpoint,
    body: SMPL,
    out: Path,
    *,
    format: str = "onnx",
    precision: str | None = None,
    pixels: str = "uint8",
    outputs: str = "parameters",
    tracking_uri: str | None = None,
    judge: Callable[[HMR, FilePredictor], Scored | None] = lambda model, file: None,
) -> Exported:
    """Write the model of `checkpoint` to `out`, atomically, once the runtime gives what the model gives.

    `format` is a key of `FORMATS`: what belongs to a file lies beside it, under the same name with another ending.
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
    network = DeployedNetwork(prepare(model), pixels, posed)
    with torch.no_grad():
        shapes = [list(one.shape[1:]) for one in network(network.example(size, batch=1))]
    said = metadata(
        checkpoint,
        body,
        parameters=count_parameters(with_float_weights(model)).total,
        precision=precision,
        input_name=INPUT,
        pixels=pixels,
        outputs=dict(zip(OUTPUTS[outputs], shapes, strict=True)),
        tracking_uri=tracking_uri,
    )
    kind = FORMATS[format]
    with ExitStack() as stack:
        # The last is renamed first: a file is there when what belongs to it is.
        parts = [stack.enter_context(atomic_write(out.with_suffix(one))) for one in (out.suffix, *kind.endings[1:])]
        kind.write(Content(network, model, size, OUTPUTS[outputs], precision, json.dumps(said)), *parts)
        predictor = kind.open(*parts)
        parity = measure_parity(predictor, model, body)
        parity.check(precision)
        scored = None if precision == "float32" else judge(model, predictor)
        if scored:
            scored.check()
        written = predictor.size
    return Exported(out, written, precision, predictor.version, parity, scored)
