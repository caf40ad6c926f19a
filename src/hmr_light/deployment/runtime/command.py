"""`hmr-light-runtime photo.jpg`: the people in photographs and videos, drawn and as numbers."""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import PROGRAM
from .errors import UserError
from .following import Follower
from .people import PredictedPeople
from .pictures import Pictures, open_pictures, shrink_to
from .predicting import Boxes, PeoplePredictor
from .predictions import draw_sheet, write_parameters, write_picture

_PICTURE_SIZE = 1280
_BOXES = "Give X,Y,WIDTH,HEIGHT in pixels (several times for several people), image, or a json file."
_EXAMPLES = f"""examples:
  {PROGRAM} photo.jpg
  {PROGRAM} clip.mp4 --model mobile-float32.onnx --every 5 --out frames
  {PROGRAM} photo.jpg --boxes 120,40,200,460 --json
"""


def run(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line asks for. Raises `UserError` for a mistake of the user."""
    _run(_parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="The people in photographs and videos: pictures (png) and numbers (npz), without torch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    own = "(default: the one that comes with this package)"
    box = "a person's tight box X,Y,WIDTH,HEIGHT in pixels, several times for several people; image: the whole image "
    box += "is one person; a json file {image: [[x, y, width, height], ...]} (default: the people who are found)"
    add = parser.add_argument
    add("input", nargs="+", type=Path, help="images, folders of images, videos")
    add("--model", default="pocket", help="an ONNX file of `hmr-light export`, or pocket (the default)")
    add("--finder", type=Path, help=f"the file of `hmr-light export model=finder` {own}")
    add("--body", type=Path, help=f"an npz in SMPL's format {own}")
    add("--boxes", action="append", help=box)
    add("--out", type=Path, help="a new folder (default: people, people_2 …; with --json none)")
    add("--json", action="store_true", help="print a line of JSON for each image")
    add("--every", type=int, default=1, metavar="N", help="of a video, take every N-th frame")
    add("--threads", type=int, default=1, metavar="N", help="of the networks (default: 1)")
    return parser


def _run(options: argparse.Namespace) -> None:
    if options.every < 1 or options.threads < 1:
        raise UserError("--every and --threads are at least 1", "Correct them, or leave them out.")
    boxes_of = None if options.boxes is None else _boxes(options.boxes)
    inputs = [open_pictures(path, names=None, as_stored=False, every=options.every) for path in options.input]
    out = _out(options.out, options.json)
    # What takes a moment comes after that: a wrong path is told at once.
    from .body import load_body
    from .finder import PeopleFinder
    from .model import load_model
    from .predictor import Predictor

    finder = PeopleFinder(options.finder, threads=options.threads)
    model = load_model(options.model, threads=options.threads)
    predictor = Predictor(model, load_body(options.body), finder=finder)
    results = _Results(out, options.json, predictor.faces)
    for pictures in inputs:
        _predict(predictor, pictures, boxes_of, results)
    if not results.people:
        raise UserError("nobody was found", "Say where they are: --boxes X,Y,WIDTH,HEIGHT, or --boxes image.")
    if out is not None:
        print(f"  next: look at the pictures in {out}; numpy.load reads the numbers", file=sys.stderr)


def _out(named: Path | None, as_json: bool) -> Path | None:
    """The folder for what is written; without a name a new one, and with `--json` none."""
    if named is None:
        names = itertools.chain(["people"], (f"people_{number}" for number in itertools.count(2)))
        return None if as_json else next(folder for folder in map(Path, names) if not folder.exists())
    if named.exists() and (not named.is_dir() or any(named.iterdir())):
        raise UserError(f"the folder {named} is there already, and not empty", "Give another --out, or remove it.")
    return named


def _predict(
    predictor: PeoplePredictor, pictures: Pictures, boxes_of: Callable[[str], Boxes] | None, results: _Results
) -> None:
    """Give the people of each picture to `results`; pictures that fail are named, and the others done."""
    follower = Follower(predictor) if pictures.is_video and boxes_of is None else None
    for picture in pictures.pictures:
        try:
            image = picture.read()
            boxes = None if boxes_of is None else boxes_of(picture.source)
            people = follower(image) if follower else predictor(image, boxes)
        except UserError as error:
            print(f"{picture.name}: {error.message}", file=sys.stderr)
            continue
        results.add(picture.name, people, image)
    for note in pictures.notes:
        print(f"note: {note}", file=sys.stderr)


class _Results:
    """What is printed and written."""

    def __init__(self, out: Path | None, as_json: bool, faces: np.ndarray) -> None:
        self.people = 0
        self._out, self._as_json, self._faces = out, as_json, faces
        self._names: set[str] = set()

    def add(self, name: str, people: PredictedPeople, image: np.ndarray) -> None:
        self.people += len(people)
        told = "nobody was found"
        if len(people):
            confidences = ", ".join(f"{one:.2f}" for one in people.confidence)
            told = f"{len(people)} {'person' if len(people) == 1 else 'people'}, confidence {confidences}"
        if self._as_json:
            print(json.dumps({"image": name, "people": described(people)}), flush=True)
        if self._out is not None and len(people):
            target = self._out / self._unused(Path(name).stem)
            sheet = draw_sheet(people, shrink_to(image, _PICTURE_SIZE), self._faces, name)
            write_picture(sheet, target.with_name(f"{target.name}.png"))
            write_parameters(people, target.with_name(f"{target.name}.npz"))
            told += f": {target}.png, {target.name}.npz"
        print(f"{name}: {told}", file=sys.stderr if self._as_json else sys.stdout)

    def _unused(self, stem: str) -> str:
        name, number = stem, 1
        while name in self._names:
            number += 1
            name = f"{stem}_{number}"
        self._names.add(name)
        return name


def described(people: PredictedPeople) -> list[dict[str, Any]]:
    """The people as plain values; vertices are left out, for they are many."""
    arrays = {
        "score": people.scores,
        "confidence": people.confidence,
        "rotations": people.rotations,
        "betas": people.betas,
        "camera": people.camera,
        "translation": people.translation,
        "joints": people.joints,
        "joints_2d": people.joints_2d,
        "keypoints": people.keypoints,
    }
    rows = [dict(zip(arrays, values, strict=True)) for values in zip(*arrays.values(), strict=True)]
    return [
        {"box": {"center": box.center.tolist(), "scale": float(box.scale)}}
        | {key: np.round(np.asarray(value, np.float64), 6).tolist() for key, value in row.items()}
        for box, row in zip(people.boxes, rows, strict=True)
    ]


def _boxes(given: list[str]) -> Callable[[str], Boxes]:
    """The boxes of an image by its name, as `--boxes` has them."""
    if given == ["image"]:
        return lambda name: "image"
    if len(given) == 1 and given[0].lower().endswith(".json"):
        return _boxes_of_file(Path(given[0]))
    numbers = []
    for text in given:
        try:
            x, y, width, height = map(float, text.split(","))
        except ValueError:
            raise UserError(f"--boxes {text} is not a box", _BOXES) from None
        numbers.append((x, y, width, height))
    return lambda name: numbers


def _boxes_of_file(path: Path) -> Callable[[str], Boxes]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read the boxes {path}: {error.strerror}", "Correct the path.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a file of boxes: {error}", _BOXES) from None
    if not isinstance(content, dict) or not all(isinstance(boxes, list) for boxes in content.values()):
        raise UserError(f"{path} is not a file of boxes: it holds no lists by the images' names", _BOXES)

    def boxes_of(name: str) -> Boxes:
        if name not in content:
            raise UserError(f"{path} has no box of that name")
        boxes: Boxes = content[name]
        return boxes

    return boxes_of
