"""`hmr-light predict`: photographs or a video → pictures with the people drawn over them, meshes, parameters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hmr_light.config.schema import PredictConfig
from hmr_light.data.boxes import read_boxes
from hmr_light.data.claim import claim
from hmr_light.data.finders import MOVENET, WHOLE_IMAGE, Finder, detector, finder_of_file
from hmr_light.data.pictures import IMAGE_SUFFIXES, Pictures, open_pictures, shrink_to
from hmr_light.data.progress import track
from hmr_light.errors import UserError

# What needs torch, which takes seconds to import, is imported in the functions: a wrong path is answered at once.
if TYPE_CHECKING:
    from hmr_light.checkpoints.format import Checkpoint
    from hmr_light.model.predictor import CroppedImage, PredictedPeople, Predictor

_SHOWN = 20
"""Images that the list of failures names."""
_LEAST_DETECTED = 0.7
"""Score of people whom torchvision's detector finds, where min_score is not given."""


class Task(NamedTuple):
    """An image that was read, as far as it is still needed: what the network sees, and what is drawn on."""

    name: str
    picture: np.ndarray
    """(h, w, 3) RGB, the whole image at the size of the drawing."""
    image: CroppedImage


def run(config: PredictConfig) -> Path:
    """Predict the people of `config.input`, and return the folder that was written.

    Images that fail are named at the end, and the others are done; raises `UserError` only when none can be.
    """
    out = _new_folder(config.out)
    pictures, finder = _open(config)

    import torch

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    predictor = _predictor(config)
    finder = finder or _without_file(config)
    print(f"boxes: {finder.says}", file=sys.stderr)

    failures: dict[str, str] = {}
    people = 0
    written: list[Path] = []
    with claim(out, "out"):
        _new_folder(out)  # another process may have written it by now
        for tasks in _batches(_tasks(pictures, finder, failures, predictor, config), config.batch_size):
            for task, seen in zip(tasks, predictor.people([task.image for task in tasks]), strict=True):
                target = _target(out, task.name, written)
                _write(seen, task, predictor.faces, target, finder.says, config.meshes)
                written.append(target)
                people += len(seen)
    if not written:
        name, reason = next(iter(failures.items()))
        raise UserError(
            f"none of {_images(len(failures))} could be done; {name}: {reason}",
            "Give other images, boxes=FILE, or boxes=image where one person fills the image.",
        )
    print(f"{out}: {_images(len(written))}, {people} {'person' if people == 1 else 'people'}")
    for note in pictures.notes:
        print(f"  note: {note}", file=sys.stderr)
    if failures:
        print(f"  {_images(len(failures))} failed:", file=sys.stderr)
        shown = list(failures.items())[:_SHOWN]
        print("\n".join(f"    {name}: {reason}" for name, reason in shown), file=sys.stderr)
        if len(failures) > _SHOWN:
            print(f"    and {len(failures) - _SHOWN} more", file=sys.stderr)
    print(f"  next: look at {written[0]}.png", file=sys.stderr)
    return out


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _new_folder(out: Path) -> Path:
    out = out.expanduser()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"out={out} is there already, and not empty", "Choose another folder, or remove this one.")
    return out


def _open(config: PredictConfig) -> tuple[Pictures, Finder | None]:
    """The pictures, and who finds the people in them where that is a file of boxes."""
    assert config.input is not None  # checked by the schema
    source = config.input.expanduser()
    if config.boxes in ("auto", "detector", "image"):
        # Labels are for the pixels as they are stored; a photograph without labels is for the eye.
        return open_pictures(source, names=None, as_stored=False, every=config.every), None
    path = Path(config.boxes).expanduser()
    file = read_boxes(path)
    pictures = open_pictures(source, names=file.boxes, as_stored=True, every=config.every, boxes=path)
    if left_out := file.describe_left_out():
        pictures.notes.append(f"entries of {path} that were left out: {left_out}")
    return pictures, finder_of_file(file, path, pictures.notes)


def _without_file(config: PredictConfig) -> Finder:
    if config.boxes == "detector":
        return detector(config.device, _LEAST_DETECTED if config.min_score is None else config.min_score)
    return MOVENET if config.boxes == "auto" else WHOLE_IMAGE


def _predictor(config: PredictConfig) -> Predictor:
    from hmr_light.body import load_body
    from hmr_light.checkpoints.loading import load_checkpoint
    from hmr_light.checkpoints.models import ZOO, best_checkpoint, predictor_of
    from hmr_light.model.finder import LEAST_SCORE, PeopleFinder
    from hmr_light.model.predictor import Predictor

    if config.checkpoint is not None:
        checkpoint = load_checkpoint(config.checkpoint.expanduser())
    elif config.run is None:
        checkpoint = load_checkpoint(ZOO / "mobile.pt")
        print("checkpoint: mobile, which comes with the package", file=sys.stderr)
    else:
        checkpoint = best_checkpoint(config.run, config.tracking.uri)
        print(f"checkpoint: {checkpoint.path}", file=sys.stderr)
    _say_if_bodies_differ(checkpoint, config.body.name)
    model = predictor_of(checkpoint, config.device)
    least = LEAST_SCORE if config.min_score is None else config.min_score
    return Predictor(
        model,
        load_body(**config.body.files()),
        batch_size=config.batch_size,
        focal=config.focal,
        finder=PeopleFinder(model.device, least),
    )


def _say_if_bodies_differ(checkpoint: Checkpoint, name: str) -> None:
    if checkpoint.body not in (None, name):
        print(f"note: trained with body={checkpoint.body}, drawn with body={name}: shapes will differ", file=sys.stderr)


def _tasks(
    pictures: Pictures, finder: Finder, failures: dict[str, str], predictor: Predictor, config: PredictConfig
) -> Iterator[Task]:
    """The images one by one, read and cropped; those that fail go to `failures` with the reason."""
    for picture in track(pictures.pictures, "predicting", pictures.total):
        try:
            image = picture.read()
            cropped = predictor.crop(image, finder.find(picture, image))
            if not cropped.found:
                raise UserError("nobody was found in it")
        except UserError as error:
            failures[picture.name] = error.message
            continue
        yield Task(picture.name, shrink_to(image, config.picture_size), cropped)


def _batches(tasks: Iterator[Task], batch_size: int) -> Iterator[list[Task]]:
    """Images together, as many as have `batch_size` people."""
    batch: list[Task] = []
    for task in tasks:
        batch.append(task)
        if sum(len(one.image.found) for one in batch) >= batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


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


def _write(
    people: PredictedPeople, task: Task, faces: np.ndarray, target: Path, boxes: str, formats: list[str]
) -> None:
    from hmr_light.reports.meshes import write_glb, write_obj
    from hmr_light.reports.predictions import draw_sheet, write_parameters, write_picture

    def file(suffix: str) -> Path:
        return target.with_name(f"{target.name}.{suffix}")

    write_parameters(people, file("npz"))
    if "obj" in formats:
        write_obj(people.vertices, faces, people.translation, file("obj"))
    if "glb" in formats:
        photograph = {"width": people.width, "height": people.height}
        write_glb(people.vertices, faces, people.translation, file("glb"), focal=people.focal, **photograph)
    write_picture(draw_sheet(people, task.picture, faces, f"boxes: {boxes}"), file("png"))
