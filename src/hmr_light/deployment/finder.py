"""The finder of people (`hmr_light.model.finder`) as an ONNX file: MoveNet, and how people are read off its maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import max_pool2d

from hmr_light import __version__
from hmr_light.body.joints import COCO17_NAMES
from hmr_light.deployment.finder_graph import OUTPUTS, finder_graph
from hmr_light.deployment.onnx_graph import INPUT
from hmr_light.deployment.parity import parity_crops
from hmr_light.deployment.runtime.finding import LEAST_CENTER, MOST_PEOPLE
from hmr_light.errors import UserError
from hmr_light.model.file_predictor import FINDER, FORMAT, METADATA, optional_package
from hmr_light.model.movenet import IMAGE_SIZE, MoveNet, center_weights, keypoints_of, load_movenet
from hmr_light.model.onnx_predictor import open_session
from hmr_light.paths import atomic_write

MOST_IN_SCORES, MOST_PIXELS = 1e-4, 1e-2
"""What the file may differ by from the network on the crops of `parity_crops`."""
_LICENCE = "MoveNet Lightning (Google) is under Apache-2.0."
_KEYPOINTS = (
    "Of each person COCO's 17: x, y in pixels of the crop, from its corner, and the score, 0 to 1. The first person is "
    "the one nearest the middle, whatever the score. The others are those who may be people, the most likely first."
)
_CENTERS = "How sure it is that the centre of a person is there, 0 to 1; 0 for a place in the list that nobody has."


@torch.no_grad()
def seen(network: MoveNet, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The keypoints (B, 13, 17, 3) and centers (B, 13) of RGB crops (B, 3, S, S), values 0 to 255: what the file gives.

    Person 0 is whom `PeopleFinder.look` returns, the others are those whom `PeopleFinder.find` looks at once more.
    """
    maps = network(crops / 127.5 - 1)
    centers = maps.centers.flatten(1)
    rank = (maps.centers * center_weights(maps)).flatten(1)
    peaks = (max_pool2d(maps.centers, 3, 1, 1).flatten(1) == centers) & (centers >= LEAST_CENTER)
    best = torch.where(peaks, rank, 0).topk(MOST_PEOPLE)
    chosen = torch.cat((rank.argmax(1, keepdim=True), best.indices), 1)
    there = torch.cat((torch.ones(len(crops), 1), best.values > 0), 1)
    images = torch.arange(len(crops))[:, None].expand_as(chosen).flatten()
    keypoints = keypoints_of(maps, images, chosen.flatten()).unflatten(0, chosen.shape)
    return keypoints, centers.gather(1, chosen) * there


class ExportedFinder(NamedTuple):
    """A file that was written, and by how much it differs from the network."""

    path: Path
    size: int
    """Bytes."""
    scores: float
    pixels: float
    """Of a keypoint, in pixels of the crop."""


def export_finder(out: Path, *, pixels: str = "uint8") -> ExportedFinder:
    """Write the finder to `out`, atomically, once ONNX Runtime gives what the network gives.

    `pixels` is the type of the crops. Weights are stored in float16, which loses nothing: the package has them so.
    Raises `UserError` for a file that gives something else; `out` is as before then.
    """
    optional_package("onnx")
    network = load_movenet().requires_grad_(False)
    graph = finder_graph(network, pixels)
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(_metadata(pixels))
    with atomic_write(out) as temporary:
        temporary.write_bytes(graph.SerializeToString())
        scores, places = _differences(temporary, network, pixels)
        if not (scores <= MOST_IN_SCORES and places <= MOST_PIXELS):
            raise UserError(
                f"the file does not give what the finder gives: it differs by {scores:.1e} in the scores (at most "
                f"{MOST_IN_SCORES:.0e}) and by {places:.1e} pixels (at most {MOST_PIXELS:.0e})",
                "Nothing was written. Please report the versions of torch and onnxruntime.",
            )
    return ExportedFinder(out, out.stat().st_size, scores, places)


def _differences(path: Path, network: MoveNet, pixels: str) -> tuple[float, float]:
    session = open_session(path)
    scores = places = 0.0
    for crops in parity_crops(IMAGE_SIZE).split(8):
        image = crops.permute(0, 2, 3, 1).contiguous() if pixels == "uint8" else crops.float()
        keypoints, centers = session.run(OUTPUTS, {INPUT: image.numpy()})
        expected, expected_centers = (value.numpy() for value in seen(network, crops))
        there = expected_centers > 0  # what stands in the other places means nothing
        differences = np.abs(keypoints - expected)[there]
        scores = max(scores, np.abs(centers - expected_centers).max(), differences[..., 2].max())
        places = max(places, differences[..., :2].max())
    return float(scores), float(places)


def _metadata(pixels: str) -> dict[str, object]:
    return {
        "format": FORMAT,
        "kind": FINDER,
        "written_by": f"hmr_light {__version__}",
        "precision": "float16",
        "input": {
            "name": INPUT,
            "type": pixels,
            "shape": "batch, size, size, 3" if pixels == "uint8" else "batch, 3, size, size",
            "values": "RGB, 0 to 255",
            "size": IMAGE_SIZE,
        },
        "outputs": {"keypoints": [MOST_PEOPLE + 1, 17, 3], "centers": [MOST_PEOPLE + 1]},
        "meaning": {"keypoints": _KEYPOINTS, "centers": _CENTERS},
        "keypoints": list(COCO17_NAMES),
        "licence": [_LICENCE],
    }
