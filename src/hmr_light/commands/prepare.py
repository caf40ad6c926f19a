"""`hmr-light prepare`: a dataset's source → images and annotations on disk, and a contact sheet to look at."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hmr_light.body import SMPL, load_body
from hmr_light.config import typed
from hmr_light.config.hints import command_line
from hmr_light.config.registry import check_options
from hmr_light.config.schema import PrepareConfig
from hmr_light.data.claim import claim
from hmr_light.errors import UserError, did_you_mean

_BATCH_SIZE = 64
"""That of `conf/trainer/default.yaml`."""


def run(config: PrepareConfig) -> None:
    """Make the dataset that `config.source` names."""
    name = str(config.source.get("name"))
    options = {key: value for key, value in config.source.items() if key != "name"}
    if name == "synthetic":
        _render(options, config)
        return
    if name == "body":
        check_options("source", "body", _prepare_body, options)
        _prepare_body(config, **options)
        return
    if name == "check":
        check_options("source", "check", _check, options)
        _check(load_body(**config.body.files()), **options)
        return
    from hmr_light.data.converters import CONVERTERS

    if name not in CONVERTERS:
        raise UserError(f"there is no source '{name}'", did_you_mean(name, ["synthetic", "body", "check", *CONVERTERS]))
    _convert(name, options, config)


def _render(options: dict[str, Any], config: PrepareConfig) -> None:
    from hmr_light.data.synthetic import SyntheticConfig, prepare_synthetic

    out = Path(options.pop("out")).expanduser()
    settings = typed(SyntheticConfig, options)
    # Where one count is given, the others are those of conf/source/synthetic.yaml.
    counts = ", ".join(f"{name} {count}" for name, count in settings.counts.by_split().items())
    print(f"{out}: {sum(settings.counts.by_split().values())} images: {counts} (source.counts)", file=sys.stderr)
    with claim(out):
        summary = prepare_synthetic(settings, load_body(**config.body.files()), out)
    print(f"{out}: " + ", ".join(f"{name} {split['images']}" for name, split in summary["splits"].items()))
    print(f"  fingerprint {summary['fingerprint'][:16]}  look at {out / 'contact_sheet.png'}", file=sys.stderr)
    step = command_line("train", {"experiment": "mobilenet_v2", "data.root": out})
    print(f"  next: {step}", file=sys.stderr)


def _prepare_body(config: PrepareConfig, *, out: str, gender: str | None) -> None:
    from hmr_light.body.prepare import prepare_bodies

    files = config.body.files()
    prepare_bodies(files.pop("path"), Path(out).expanduser(), gender=gender, **files)


def _check(body: SMPL, *, annotations: str | None, images: str | None, out: str | None) -> None:
    """Say what annotations hold, and draw some of them."""
    from hmr_light.data.annotations import load_annotations
    from hmr_light.data.check import describe_annotations
    from hmr_light.data.contact_sheet import contact_sheet
    from hmr_light.data.dataset import MeshDataset

    if not annotations or not images:
        raise UserError(
            "source=check needs source.annotations= and source.images=",
            "Give the npz, and the folder that its image names are relative to.",
        )
    path, folder = Path(annotations).expanduser(), Path(images).expanduser()
    sheet = Path(out).expanduser() if out else path.with_suffix(".png")
    labels = load_annotations(path, keep_faulty=True)
    print("\n".join(describe_annotations(labels, path, folder)))
    dataset = MeshDataset(path, folder, image_size=224, keep_faulty=True)
    shown = _spread(len(labels))
    _say_what_to_look_at(contact_sheet(dataset, sheet, shown, columns=6, body=body), shown, sheet)


def _spread(people: int) -> list[int]:
    """Up to 24 indices, from the first person to the last."""
    return np.unique(np.linspace(0, people - 1, 24).round().astype(int)).tolist()


def _say_what_to_look_at(problems: list[str], shown: list[int], sheet: Path) -> None:
    if problems:
        print(f"  {len(problems)} of {len(shown)} images to look at cannot be used: {problems[0]}", file=sys.stderr)
    if len(problems) < len(shown):
        print(f"  look at {sheet}", file=sys.stderr)


def _convert(name: str, options: dict[str, Any], config: PrepareConfig) -> None:
    from hmr_light.data.contact_sheet import contact_sheet, pose_sheet
    from hmr_light.data.converters import CONVERTERS
    from hmr_light.data.dataset import MeshDataset

    convert = CONVERTERS[name]
    parameters = list(inspect.signature(convert).parameters.values())
    places = [one.name for one in parameters if one.kind is not inspect.Parameter.KEYWORD_ONLY]
    missing = [key for key in places if not options.get(key)]
    if missing:
        raise UserError(
            f"source={name} needs {' and '.join(f'source.{key}=' for key in missing)}",
            f"See hmr-light prepare --help and data/README.md for what {name} consists of.",
        )
    paths = [Path(options.pop(key)).expanduser() for key in places]
    check_options("source", name, convert, options)
    if any(one.name == "body" for one in parameters):
        options["body"] = load_body(**config.body.files())
    with claim(paths[places.index("out")]):
        summary = convert(*paths, **options)
    print(summary)
    sheet = summary.out.with_suffix(".png")
    shown = _spread(summary.kept)
    problems: list[str] = []
    if summary.images is None:
        pose_sheet(np.load(summary.out, allow_pickle=False)["pose"][shown], sheet, load_body(**config.body.files()))
    else:
        dataset, body = MeshDataset(summary.out, summary.images, image_size=224), load_body(**config.body.files())
        problems = contact_sheet(dataset, sheet, shown, columns=6, body=body)
    _say_what_to_look_at(problems, shown, sheet)
    if summary.next_step:
        # A step takes no more people than there are.
        is_small = summary.next_step.startswith("hmr-light train") and summary.kept < _BATCH_SIZE
        more = f" trainer.batch_size={summary.kept}" if is_small else ""
        print(f"  next: {summary.next_step}{more}", file=sys.stderr)
    if summary.or_step:
        print(f"  or: {summary.or_step}", file=sys.stderr)
