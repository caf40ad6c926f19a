"""`hmr-light predict`: photographs or a video → pictures with the people drawn over them, meshes, parameters."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from hmr_light.body import SMPL, load_body
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.config.schema import PredictConfig
from hmr_light.data.boxes import Box, read_boxes, whole_image
from hmr_light.data.detector import detector_file, load_detector
from hmr_light.data.distributed import choose_device
from hmr_light.data.pictures import IMAGE_SUFFIXES, Picture, Pictures, crop_person, open_pictures, shrink_to
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.regressors import SmplParameters
from hmr_light.reports.meshes import write_glb, write_obj
from hmr_light.reports.predictions import PredictedPeople, draw_people, write_parameters, write_picture

Finder = Callable[[Picture, np.ndarray], list[Box]]


class Task(NamedTuple):
    """An image that was read, as far as it is still wanted: what the network sees, and what is drawn on."""

    name: str
    width: int
    height: int
    picture: np.ndarray
    """(h, w, 3) RGB, the whole image at the size of the drawing."""
    boxes: list[Box]
    crops: np.ndarray
    """(P, S, S, 3) RGB."""


def run(config: PredictConfig) -> Path:
    """Predict the people of `config.input`, and return the folder that was written.

    Images that fail are named at the end, and the others are done; raises `UserError` only when none can be.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    out = _new_folder(config.out)
    device = choose_device(config.device)
    checkpoint, pictures, find = _open(config, device)
    model = checkpoint.build().to(device)
    model.regressor = model.regressor.fold()  # the same map in one step, and so faster
    body = load_body(**config.body.files()).to(device)
    _say_if_bodies_differ(checkpoint, config.body.name)

    failures: dict[str, str] = {}
    people = 0
    written: list[Path] = []
    for tasks in _batches(_tasks(pictures, find, failures, checkpoint, config), config.batch_size):
        for task, seen in zip(tasks, _estimate(model, body, tasks, config), strict=True):
            target = _target(out, task.name, written)
            _write(seen, task, body.faces.cpu().numpy(), target, config.meshes)
            written.append(target)
            people += len(seen.boxes)
    if not written:
        name, reason = next(iter(failures.items()))
        raise UserError(
            f"none of {len(failures)} images could be done; {name}: {reason}", "Give other images or boxes."
        )
    print(f"{out}: {len(written)} images, {people} people")
    if failures:
        print(f"  {len(failures)} images failed:", file=sys.stderr)
        print("\n".join(f"    {name}: {reason}" for name, reason in failures.items()), file=sys.stderr)
    print(f"  next: look at {written[0]}.png", file=sys.stderr)
    return out


def _new_folder(out: Path) -> Path:
    out = out.expanduser()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"out={out} is there already, and not empty", "Choose another folder, or remove this one.")
    return out


def _open(config: PredictConfig, device: torch.device) -> tuple[Checkpoint, Pictures, Finder]:
    assert config.checkpoint is not None  # checked by the schema
    assert config.input is not None
    checkpoint = load_checkpoint(config.checkpoint.expanduser())
    how = config.boxes
    if how == "auto":
        how = "detector" if detector_file() else "image"
        print(
            f"boxes: {'torchvision detector' if how == 'detector' else 'the whole image is one person'}",
            file=sys.stderr,
        )
    boxes = None if how in ("detector", "image") else read_boxes(Path(how).expanduser())
    source = config.input.expanduser()
    # Labels are for the pixels as they are stored; a photograph without labels is for the eye.
    pictures = open_pictures(source, names=boxes, as_stored=boxes is not None, every=config.every)
    if boxes is not None:
        return checkpoint, pictures, lambda picture, _: _boxes_of(picture.source, boxes, how)
    if how == "image":
        return checkpoint, pictures, lambda _, image: [whole_image(image.shape[1], image.shape[0])]
    detect = load_detector(device, config.min_score)
    return checkpoint, pictures, lambda _, image: detect(image)


def _boxes_of(source: str, boxes: dict[str, list[Box]], file: str) -> list[Box]:
    # A single image is looked up by its name alone, whatever folder the file has it in.
    keys = [source] if source in boxes else [key for key in boxes if PurePosixPath(key).name == source]
    if len(keys) != 1:
        raise UserError(f"{file} has {'several images' if keys else 'no box'} of that name")
    return boxes[keys[0]]


def _say_if_bodies_differ(checkpoint: Checkpoint, name: str) -> None:
    if checkpoint.body not in (None, name):
        print(f"note: trained with body={checkpoint.body}, drawn with body={name}: shapes will differ", file=sys.stderr)


def _tasks(
    pictures: Pictures, find: Finder, failures: dict[str, str], checkpoint: Checkpoint, config: PredictConfig
) -> Iterator[Task]:
    """The images one by one, read and cropped; those that fail go to `failures` with the reason."""
    # The network sees images of the size that it was trained with.
    size = int(checkpoint.config["data"]["image_size"])
    console = Console(stderr=True)
    for picture in track(pictures.pictures, "predicting", pictures.total, console=console, transient=True):
        try:
            image = picture.read()
            if not (boxes := find(picture, image)):
                raise UserError("nobody was found in it")
        except UserError as error:
            failures[picture.name] = error.message
            continue
        height, width = image.shape[:2]
        crops = np.stack([crop_person(image, box, size) for box in boxes])
        yield Task(picture.name, width, height, shrink_to(image, config.picture_size), boxes, crops)


def _batches(tasks: Iterator[Task], batch_size: int) -> Iterator[list[Task]]:
    """Images together, as many as have `batch_size` people."""
    batch: list[Task] = []
    for task in tasks:
        batch.append(task)
        if sum(len(one.boxes) for one in batch) >= batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.no_grad()
def _estimate(model: HMR, body: SMPL, tasks: list[Task], config: PredictConfig) -> Iterator[PredictedPeople]:
    crops = torch.from_numpy(np.concatenate([task.crops for task in tasks])).permute(0, 3, 1, 2)
    parts: list[list[torch.Tensor]] = []
    for chunk in crops.split(config.batch_size):
        parameters = model(normalize(chunk.to(body.faces.device)))
        posed = body(parameters.rotations.float(), parameters.betas.float())
        parts.append([value.float().cpu() for value in (*parameters, *posed)])
    counts = [len(task.boxes) for task in tasks]
    values = [torch.cat(part).split(counts) for part in zip(*parts, strict=True)]
    for task, (rotations, betas, camera, vertices, joints) in zip(tasks, zip(*values, strict=True), strict=True):
        yield PredictedPeople(
            width=task.width,
            height=task.height,
            focal=config.focal or math.hypot(task.width, task.height),
            crop_size=crops.shape[-1],
            boxes=task.boxes,
            parameters=SmplParameters(rotations, betas, camera),
            vertices=vertices,
            joints=joints,
        )


def _target(out: Path, name: str, written: list[Path]) -> Path:
    """Where an image's files go, less their suffix: under its own name, never outside `out`, never twice."""
    path = PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in ("..", "/")))
    wanted = path
    if path.suffix.lower() in IMAGE_SUFFIXES:
        path = path.with_suffix("")
        wanted = path if out / path not in written else wanted.with_name(wanted.name.replace(".", "_"))
    target, number = out / wanted, 2
    while target in written:
        target, number = out / wanted.with_name(f"{wanted.name}_{number}"), number + 1
    return target


def _write(people: PredictedPeople, task: Task, faces: np.ndarray, target: Path, formats: list[str]) -> None:
    def file(suffix: str) -> Path:
        return target.with_name(f"{target.name}.{suffix}")

    write_parameters(people, file("npz"))
    meshes, places = people.vertices.numpy(), people.translation.numpy()
    if "obj" in formats:
        write_obj(meshes, faces, places, file("obj"))
    if "glb" in formats:
        photograph = {"width": people.width, "height": people.height}
        write_glb(meshes, faces, places, file("glb"), focal=people.focal, **photograph)
    write_picture(draw_people(people, task.picture, faces), file("png"))
