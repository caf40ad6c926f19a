"""Your SMPL files → clean npz files, each with all that a body needs."""

from __future__ import annotations

import sys
from pathlib import Path

from hmr_light.body.files import GENDERS, find_bodies, find_body, gender_of, read_body, write_body
from hmr_light.body.smpl import fingerprint
from hmr_light.config.hints import command_line
from hmr_light.errors import UserError, did_you_mean


def prepare_bodies(
    source: Path | None,
    out: Path,
    *,
    gender: str | None = None,
    extra_regressor: Path | None = None,
    h36m_regressor: Path | None = None,
) -> list[Path]:
    """Write `out`/SMPL_<GENDER>.npz for the body file `source`, or for every SMPL body in the folder `source`.

    `gender` says what a file is whose name does not. Every body is read before any is written. Raises `UserError` for
    a body that is missing or faulty, and where another body has the place already.
    """
    if source is None:
        raise UserError("say which body to prepare", "For example: hmr-light prepare body=SMPL_NEUTRAL.pkl")
    if gender is not None and gender not in GENDERS:
        raise UserError(f"source.gender={gender} is not a choice", did_you_mean(gender, GENDERS))
    bodies = {}
    for file in _sources(source, gender):
        arrays = read_body(file, extra_regressor, h36m_regressor)
        name = gender or gender_of(file)
        if name is None:
            raise UserError(
                f"the name of {file} does not say whose body it is", "Add source.gender=neutral, male or female."
            )
        target = out / f"SMPL_{name.upper()}.npz"
        if target.is_file() and fingerprint(read_body(target)) != fingerprint(arrays):
            raise UserError(
                f"{target} is there already, and is another body than {file}", "Remove it, or set source.out=."
            )
        bodies[name] = target, arrays
    for name, (target, arrays) in bodies.items():
        write_body(arrays, name, target)
        vertices, betas = len(arrays["v_template"]), arrays["shapedirs"].shape[2]
        print(f"{target}: {name}, {vertices} vertices, {len(arrays['f'])} faces, {betas} betas")
        print(f"  fingerprint {fingerprint(arrays)[:16]}", file=sys.stderr)
    step = command_line("train", {"experiment": "mobilenet_v2", "body": "smpl", "body.path": out})
    print(f"  next: {step}", file=sys.stderr)
    return [target for target, _ in bodies.values()]


def _sources(source: Path, gender: str | None) -> list[Path]:
    source = source.expanduser()
    if source.is_dir() and gender is None and (found := find_bodies(source)):
        return list(found.values())
    return [find_body(source, gender or "neutral")]
