"""Predictions beside the labels: a sheet of the best, the median and the worst of a fixed sample of people."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from hmr_light.data.contact_sheet import draw_keypoints
from hmr_light.data.dataset import MeshDataset
from hmr_light.deployment.runtime.drawing import COLOURS, MeshView, draw, vertex_normals
from hmr_light.deployment.runtime.predictions import caption_strip, write_picture
from hmr_light.errors import UserError
from hmr_light.evaluation.protocols import Scorer
from hmr_light.evaluation.scoring import Predictor
from hmr_light.geometry import project, weak_perspective_translation

SAMPLE = 24
"""People of whom the best, the median and the worst are drawn; spread evenly over the set, and so always the same."""
_LEAST_SIDE = 192
"""Pixels; smaller crops are enlarged to see something."""
_PREDICTION, _LABELS = COLOURS[:2]
_SIDEWAYS = torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])  # a quarter turn about the vertical


class Mesh(NamedTuple):
    """A mesh in front of the crop's camera."""

    vertices: torch.Tensor
    """(V, 3), metres."""
    translation: torch.Tensor
    """(3,), metres."""
    colour: tuple[float, float, float] = _PREDICTION


@torch.no_grad()
def overlay_sheet(
    predict: Predictor, dataset: MeshDataset, scorer: Scorer, out: Path, title: str = "", count: int = 6
) -> None:
    """Write a PNG with a column for each of `count` people of `dataset`: a third each the best, the median, the worst.

    From above: the crop, the labels over it (the 2D joints where there are no SMPL labels, empty without either), the
    prediction over it, both from the side in one place, and the first error of `scorer`'s protocol. `title` stands
    above all. `predict` takes crops on the scorer's device. People whose image cannot be read are left out: whether
    that is an error was decided when the set was evaluated.
    """
    people = scorer.protocol.people(dataset.annotations)
    samples = []
    for index in people[np.linspace(0, len(people) - 1, min(SAMPLE, len(people))).astype(int)].tolist():
        with contextlib.suppress(UserError):
            samples.append(dataset[index])
    if not samples:
        return
    body, device = scorer.body, scorer.body.faces.device
    batch = {name: torch.stack([sample[name] for sample in samples]).to(device) for name in samples[0]}
    parameters = predict(batch["image"])
    genders = dataset.annotations.gender[batch["index"].cpu().numpy()]
    metric = scorer.protocol.metrics[0]
    errors = scorer.errors(parameters, scorer.truth(batch, genders))[metric].cpu()
    unit = "mm" if metric.endswith("_mm") else "%"
    size = dataset.image_size * math.ceil(_LEAST_SIDE / dataset.image_size)
    predicted = body(parameters.rotations.float(), parameters.betas.float())
    labelled = body(batch["pose"], batch["betas"])
    fitted = _camera_of_keypoints(labelled.joints, batch["keypoints_2d"], parameters.camera.float())
    places = [weak_perspective_translation(c.cpu(), size=size) for c in (parameters.camera.float(), fitted)]
    columns = []
    for number in choose(errors, count):
        image = batch["image"][number].permute(1, 2, 0).cpu().numpy()
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_CUBIC)
        meshes = [Mesh(predicted.vertices[number].cpu(), places[0][number], _PREDICTION)]
        if batch["has_smpl"][number]:
            meshes.append(Mesh(labelled.vertices[number].cpu(), places[1][number], _LABELS))
        cells = [image, *(draw_meshes(image, [mesh], body.faces.cpu().numpy()) for mesh in reversed(meshes))]
        if len(meshes) == 1:
            keypoints = batch["keypoints_2d"][number].cpu().numpy()
            cells.insert(1, draw_keypoints(image, keypoints) if keypoints[:, 2].any() else np.full_like(image, 255))
        cells.append(draw_meshes(np.full_like(image, 255), _from_the_side(meshes), body.faces.cpu().numpy()))
        error = f"{errors[number]:.0f} {unit}" if errors[number].isfinite() else "no label"
        columns.append(np.concatenate([*cells, caption_strip(f"{error}   #{int(batch['index'][number])}", size)]))
    sheet = np.concatenate(columns, axis=1)
    above = f"{title}   best, median, worst of {len(samples)}   image / labels / prediction / both from the side"
    write_picture(np.concatenate([caption_strip(above.strip(), sheet.shape[1]), sheet]), out)


def choose(errors: torch.Tensor, count: int) -> list[int]:
    """Which of the samples to show, by their `errors` (N,): a third of `count` each the best, the median, the worst.

    In the order of their errors; those without an error are the last.
    """
    order = errors.nan_to_num(nan=math.inf, posinf=math.inf).argsort(stable=True).tolist()
    if len(order) <= count:
        return order
    third, known = count // 3, int(errors.isfinite().sum()) or len(order)
    middle = max(third, min((known - third) // 2, len(order) - count + third))
    rest = count - 2 * third
    return [*order[:third], *order[middle : middle + third], *order[max(middle + third, known - rest) :][:rest]]


def draw_meshes(image: np.ndarray, meshes: Sequence[Mesh], faces: np.ndarray, focal: float = 5000.0) -> np.ndarray:
    """The RGB crop `image` (S, S, 3) uint8 with `meshes` over it.

    The camera looks along z through the crop's centre, with `focal` in pixels, as the losses have it.
    """
    size, views = len(image), []
    for vertices, translation, colour in meshes:
        points = project(vertices[None], translation[None], focal, size)[0].numpy()
        depth = (vertices[:, 2] + translation[2]).numpy()
        normals = vertex_normals(vertices.numpy(), faces)
        views.append(MeshView((points + 1) * size / 2 - 0.5, depth, normals, colour))
    return draw(image, views, faces)


def _from_the_side(meshes: Sequence[Mesh]) -> list[Mesh]:
    """The meshes turned about their middles, in one place, at the distance of the first."""
    place = torch.tensor([0.0, 0.0, float(meshes[0].translation[2])])
    middles = [(mesh.vertices.amin(0) + mesh.vertices.amax(0)) / 2 for mesh in meshes]
    return [
        Mesh((mesh.vertices - middle) @ _SIDEWAYS.T, place, mesh.colour)
        for mesh, middle in zip(meshes, middles, strict=True)
    ]


def _camera_of_keypoints(joints: torch.Tensor, keypoints: torch.Tensor, otherwise: torch.Tensor) -> torch.Tensor:
    """The weak-perspective cameras (B, 3) that put `joints` (B, J, 3) nearest to `keypoints` (B, J, 3), by confidence.

    By least squares; `otherwise` (B, 3) for a sample whose keypoints do not determine a camera.
    """
    weights = keypoints[..., 2:] / keypoints[..., 2:].sum(1, keepdim=True).clamp(min=1e-6)
    points, targets = joints[..., :2].float(), keypoints[..., :2]
    middle, target = (weights * points).sum(1), (weights * targets).sum(1)
    points, targets = points - middle[:, None], targets - target[:, None]
    size = (weights * points.square()).sum((1, 2))
    scale = (weights * points * targets).sum((1, 2)) / size.clamp(min=1e-9)
    camera = torch.cat((scale[:, None], target / scale[:, None] - middle), dim=1)
    fits = (size > 1e-6) & (scale > 0.05) & camera.isfinite().all(1)
    return torch.where(fits[:, None], camera, otherwise)
