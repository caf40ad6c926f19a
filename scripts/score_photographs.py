"""PCK over the annotated people of photographs: models, the mean pose, and MoveNet's own keypoints.

    hmr-light prepare source=coco source.annotations=FILE source.images=FOLDER source.out=people.npz \
        source.min_keypoints=1
    python scripts/score_photographs.py people.npz FOLDER [--models mobile RUN …] [--predict]

Distances are shares of the longer side of the annotated box without its margin of 1.2, as by protocol=keypoints_2d,
over COCO's 17 joints; `limbs` are the twelve from shoulders and hips outwards. Here every label counts alike, while the
protocol takes the mean of each joint first. With --predict, each model is also scored as `hmr-light predict` draws it:
in boxes that MoveNet finds (the nearest to the annotated one) and in annotated ones, by align=false and align=true.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch

from hmr_light.body import load_body
from hmr_light.checkpoints.models import find_checkpoint, predictor_of
from hmr_light.data.converters.builder import BOX_MARGIN
from hmr_light.data.converters.coco import COCO_TO_J24, FACE_KEYPOINTS
from hmr_light.data.dataset import MeshDataset
from hmr_light.deployment.runtime.boxes import Box
from hmr_light.deployment.runtime.joints import COCO_JOINTS
from hmr_light.geometry import project, weak_perspective_translation
from hmr_light.model.hmr import HMR
from hmr_light.model.movenet import IMAGE_SIZE, MoveNet, load_movenet, nearest_person
from hmr_light.model.predictor import CropPredictor, Predictor
from hmr_light.model.regressors import MeanRegressor, SmplParameters

Points = Callable[[torch.Tensor], torch.Tensor]
"""Crops uint8 (B, 3, S, S) → COCO's 17 joints (B, 17, 2), -1 to 1 over the crop."""


def main() -> None:
    """Score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--models", nargs="+", default=["mobile"], help="what hmr_light.load_model takes")
    parser.add_argument("--predict", action="store_true", help="as predict draws them, too")
    options = parser.parse_args()
    print(
        f"{'':<24} {'labels':>6} {'PCK@0.05':>9} {'PCK@0.1':>8} {'error, %':>9}   limbs: {'labels':>6} {'PCK@0.1':>8}"
    )

    def report(name: str, points: Points, size: int) -> None:
        found, said = measure(points, MeshDataset(options.annotations, options.images, image_size=size))
        show(name, 100 * torch.linalg.vector_norm(found - said[..., :2], dim=2) / 2 * BOX_MARGIN, said)

    def show(name: str, distances: torch.Tensor, said: torch.Tensor) -> None:
        labelled = said[..., 2] > 0
        every, limbs = distances[labelled], distances[:, FACE_KEYPOINTS:][labelled[:, FACE_KEYPOINTS:]]
        pck_05, pck_10, of_limbs = (
            f"{100 * (part < limit).float().mean():.1f}" for part, limit in ((every, 5), (every, 10), (limbs, 10))
        )
        print(
            f"{name[-24:]:<24} {len(every):>6} {pck_05:>9} {pck_10:>8} {every.mean():>9.1f}   "
            f"{'':<6} {len(limbs):>6} {of_limbs:>8}"
        )

    for source in options.models:
        model = predictor_of(find_checkpoint(source), "cpu")
        size, regressor = model.image_size, cast(HMR, model.network).regressor
        report(source, partial(projected, model, size), size)
        mean = MeanRegressor()
        mean.load_state_dict({name: regressor.state_dict()[name] for name in mean.state_dict()})
        report("its mean pose", partial(projected, mean, size), size)
        if options.predict:
            for boxes in ("found", "annotated"):
                for align in (False, True):
                    drawn, keypoints, said = as_predicted(model, options, boxes == "annotated", align)
                    show(f"{boxes}, align={str(align).lower()}", drawn, said)
                show(f"{boxes}, its keypoints", keypoints, said)
    report("MoveNet's own keypoints", partial(own_keypoints, load_movenet()), IMAGE_SIZE)


@torch.no_grad()
def measure(points: Points, dataset: MeshDataset) -> tuple[torch.Tensor, torch.Tensor]:
    """The joints that are found (N, 17, 2), and those that are labelled (N, 17, 3: x, y, confidence)."""
    samples = [dataset[index] for index in range(len(dataset))]
    said = torch.stack([one["keypoints_2d"][25:][list(COCO_TO_J24)] for one in samples])
    return torch.cat([points(one["image"][None]) for one in samples]), said


def as_predicted(
    model: CropPredictor, options: argparse.Namespace, annotated: bool, align: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distances (N, 17), % of the box, of the mesh that `predict` draws and of its keypoints; the labels (N, 17, 3)."""
    people, predictor = np.load(options.annotations), Predictor(model, align=align)
    said = people["part"][:, list(COCO_TO_J24)]
    drawn, seen = np.empty(said.shape[:2]), np.empty(said.shape[:2])
    for index, (name, center, scale) in enumerate(
        zip(people["imgname"], people["center"], people["scale"], strict=True)
    ):
        image = cv2.imread(str(options.images / name), cv2.IMREAD_COLOR_RGB)
        assert image is not None, name
        found = predictor(image, [Box(center, scale)] if annotated else None)
        nearest = min(range(len(found)), key=lambda one: float(np.linalg.norm(found.boxes[one].center - center)))
        for distances, points in ((drawn, found.joints_2d[:, COCO_JOINTS]), (seen, found.keypoints[..., :2])):
            distances[index] = np.linalg.norm(points[nearest] - said[index, :, :2], axis=1) / (2 * scale) * BOX_MARGIN
    return torch.from_numpy(drawn), torch.from_numpy(seen), torch.from_numpy(said)


def projected(model: Callable[[torch.Tensor], SmplParameters], size: int, crops: torch.Tensor) -> torch.Tensor:
    """The joints of the body that `model` sees, by the camera of the losses."""
    found = model(crops)
    joints = load_body().joints(found.rotations, found.betas)[:, 25:][:, list(COCO_TO_J24)]
    return project(joints, weak_perspective_translation(found.camera, size=size), size=size)


def own_keypoints(network: MoveNet, crops: torch.Tensor) -> torch.Tensor:
    """The keypoints that MoveNet itself finds."""
    return 2 * nearest_person(network(crops.float() / 127.5 - 1))[..., :2] / IMAGE_SIZE - 1


if __name__ == "__main__":
    main()
