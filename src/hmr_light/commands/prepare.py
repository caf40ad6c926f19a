"""`hmr-light prepare`: a dataset's source → images and annotations on disk, and a contact sheet to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hmr_light.body import load_body
from hmr_light.config import typed
from hmr_light.config.schema import PrepareConfig
from hmr_light.errors import UserError, did_you_mean
from hmr_light.registry import check_options


def run(config: PrepareConfig) -> None:
    """Make the dataset that `config.dataset` names."""
    name = str(config.dataset.get("name"))
    options = {key: value for key, value in config.dataset.items() if key != "name"}
    if name == "synthetic":
        _render(options, config)
        return
    if name == "body":
        check_options("dataset", "body", _prepare_body, options)
        _prepare_body(config, **options)
        return
    from hmr_light.data.converters import CONVERTERS

    if name not in CONVERTERS:
        raise UserError(f"there is no dataset '{name}'", did_you_mean(name, ["synthetic", "body", *CONVERTERS]))
    _convert(name, options)


def _render(options: dict[str, Any], config: PrepareConfig) -> None:
    from hmr_light.data.synthetic import SyntheticConfig, prepare_synthetic

    out = Path(options.pop("out")).expanduser()
    settings = typed(SyntheticConfig, options)
    summary = prepare_synthetic(settings, load_body(**config.body.files()), out)
    print(f"{out}: " + ", ".join(f"{name} {split['images']}" for name, split in summary["splits"].items()))
    print(f"  fingerprint {summary['fingerprint'][:16]}  look at {out / 'contact_sheet.png'}", file=sys.stderr)
    print(f"  next: hmr-light train experiment=mobilenet_v2 data.root={out}", file=sys.stderr)


def _prepare_body(config: PrepareConfig, *, out: str, gender: str | None) -> None:
    from hmr_light.body.prepare import prepare_bodies

    files = config.body.files()
    prepare_bodies(files.pop("path"), Path(out).expanduser(), gender=gender, **files)


def _convert(name: str, options: dict[str, Any]) -> None:
    from hmr_light.data.contact_sheet import contact_sheet
    from hmr_light.data.converters import CONVERTERS
    from hmr_light.data.dataset import MeshDataset

    missing = [key for key in ("annotations", "images", "out") if not options.get(key)]
    if missing:
        raise UserError(
            f"dataset={name} needs {' and '.join(f'dataset.{key}=' for key in missing)}",
            f"See hmr-light prepare --help and data/README.md for what {name} consists of.",
        )
    annotations, images, out = (Path(options.pop(key)).expanduser() for key in ("annotations", "images", "out"))
    summary = CONVERTERS[name](annotations, images, out, **options)
    print(summary)
    sheet = out.with_suffix(".png")
    dataset = MeshDataset(out, images, image_size=224)
    contact_sheet(dataset, sheet, range(min(len(dataset), 24)), columns=6)
    print(f"  look at {sheet}", file=sys.stderr)
    print(f"  next: hmr-light train data={name} data.root={out.parent}", file=sys.stderr)
