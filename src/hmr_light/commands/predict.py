"""`hmr-light predict`: photographs or a video → pictures with the people drawn over them, meshes, parameters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hmr_light.commands.predictors import finder_without_file, load_predictor
from hmr_light.config.schema import PredictConfig
from hmr_light.data.boxes import read_boxes
from hmr_light.data.camera import check_display, open_camera, show
from hmr_light.data.claim import claim
from hmr_light.data.finders import MOVENET, Finder, finder_of_file
from hmr_light.data.progress import track
from hmr_light.deployment.runtime.pictures import IMAGE_SUFFIXES, Pictures, open_pictures, shrink_to
from hmr_light.errors import UserError, did_you_mean
from hmr_light.paths import camera_number

# What needs torch, which takes seconds to import, is imported in the functions: a wrong path is answered at once.
if TYPE_CHECKING:
    from hmr_light.deployment.runtime.people import PredictedPeople
    from hmr_light.deployment.runtime.predicting import CroppedImage
    from hmr_light.model.predictor import Predictor

_WITHOUT_FILE = ("auto", "detector", "image")
_SHOWN = 20
"""Images that the list of failures names."""


class Task(NamedTuple):
    """An image that was read, as far as it is still needed: what the network sees, and what is drawn on."""

    name: str
    picture: np.ndarray
    """(h, w, 3) RGB, the whole image at the size of the drawing."""
    image: CroppedImage
    time: float | None
    """Of a frame, seconds."""


class Drawing(NamedTuple):
    """An image whose people are known."""

    name: str
    picture: np.ndarray
    people: PredictedPeople


def run(config: PredictConfig) -> Path | None:
    """Predict the people of `config.input`, and return the folder that was written; None of a camera.

    Images that fail are named at the end, and the others are done; raises `UserError` only when none can be.
    """
    if (number := camera_number(str(config.input))) is not None:
        _watch(config, number)
        return None
    out = _new_folder(config.out)
    pictures, finder = _open(config)

    predictor = load_predictor(config)
    finder = finder or finder_without_file(config)
    print(f"boxes: {finder.says}", file=sys.stderr)

    failures: dict[str, str] = {}
    people = 0
    written: list[Path] = []
    with claim(out, "out"):
        _new_folder(out)  # another process may have written it by now
        for drawing in _drawings(pictures, finder, failures, predictor, config):
            target = _target(out, drawing.name, written)
            _write(drawing, predictor.faces, target, finder.says, config.meshes)
            written.append(target)
            people += len(drawing.people)
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


def _watch(config: PredictConfig, number: int) -> None:
    from hmr_light.commands.watch import watch

    if config.boxes != "auto":
        raise UserError(
            f"boxes={config.boxes} is for images and videos; before a camera, MoveNet finds the people",
            "Leave boxes out.",
        )
    check_display()
    frames = open_camera(number)
    smooth = config.smoothing != "none"
    watch(frames, load_predictor(config), show, smooth=smooth, picture_size=config.picture_size)


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
    if config.boxes in _WITHOUT_FILE:
        # Labels are for the pixels as they are stored; a photograph without labels is for the eye.
        pictures = open_pictures(source, names=None, as_stored=False, every=config.every)
        _refuse_smoothing(pictures, config)
        return pictures, None
    path = Path(config.boxes).expanduser()
    if not path.suffix and not path.exists():
        raise UserError(
            f"boxes={config.boxes} is no file, and none of {', '.join(_WITHOUT_FILE)}",
            did_you_mean(config.boxes, _WITHOUT_FILE),
        )
    file = read_boxes(path)
    pictures = open_pictures(source, names=file.boxes, as_stored=True, every=config.every, boxes=path)
    if left_out := file.describe_left_out():
        pictures.notes.append(f"entries of {path} that were left out: {left_out}")
    _refuse_smoothing(pictures, config)
    return pictures, finder_of_file(file, path, pictures.notes)


def _refuse_smoothing(pictures: Pictures, config: PredictConfig) -> None:
    if config.smoothing != "none" and not pictures.is_video:
        raise UserError(
            f"smoothing={config.smoothing} is for videos, and {config.input} is none",
            "Leave it out, or make a video of the images.",
        )


def _drawings(
    pictures: Pictures, finder: Finder, failures: dict[str, str], predictor: Predictor, config: PredictConfig
) -> Iterator[Drawing]:
    """The images one by one with their people; those that fail go to `failures` with the reason."""
    from hmr_light.deployment.runtime.following import Follower, Smoother

    smoother = None if config.smoothing == "none" else Smoother(predictor)
    if pictures.is_video and finder is MOVENET:
        follower = Follower(predictor)
        for picture in track(pictures.pictures, "predicting", pictures.total):
            try:
                image = picture.read()
                people = follower(image)
                if not len(people):
                    raise UserError("nobody was found in it")
            except UserError as error:
                failures[picture.name] = error.message
                continue
            if smoother and picture.time is not None:
                people = smoother(people, follower.identities, picture.time)
            yield Drawing(picture.name, shrink_to(image, config.picture_size), people)
        return
    for tasks in _batches(_tasks(pictures, finder, failures, predictor, config), config.batch_size):
        for task, people in zip(tasks, predictor.people([task.image for task in tasks]), strict=True):
            if smoother and task.time is not None:
                people = smoother(people, range(len(people)), task.time)
            yield Drawing(task.name, task.picture, people)


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
        yield Task(picture.name, shrink_to(image, config.picture_size), cropped, picture.time)


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


def _write(drawing: Drawing, faces: np.ndarray, target: Path, boxes: str, formats: list[str]) -> None:
    from hmr_light.deployment.runtime.predictions import draw_sheet, write_parameters, write_picture
    from hmr_light.reports.meshes import write_glb, write_obj

    def file(suffix: str) -> Path:
        return target.with_name(f"{target.name}.{suffix}")

    people = drawing.people
    write_parameters(people, file("npz"))
    if "obj" in formats:
        write_obj(people.vertices, faces, people.translation, file("obj"))
    if "glb" in formats:
        photograph = {"width": people.width, "height": people.height}
        write_glb(people.vertices, faces, people.translation, file("glb"), focal=people.focal, **photograph)
    write_picture(draw_sheet(people, drawing.picture, faces, f"boxes: {boxes}"), file("png"))
