"""`hmr-light export`: a trained model → a file for other runtimes, compared with the model; its figures → the run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hmr_light.config.groups.export import ENDINGS, FINDER, ExportConfig
from hmr_light.config.hints import command_line
from hmr_light.config.schema import EvaluateConfig
from hmr_light.errors import UserError
from hmr_light.paths import is_there, sample_photograph, zoo_file

# What needs torch, which takes seconds to import, is imported in the functions.
if TYPE_CHECKING:
    from hmr_light.checkpoints.format import Checkpoint
    from hmr_light.deployment.export import Exported


def run(config: ExportConfig) -> Path:
    """Write the file, print what it was found to be, and log that to the run. Returns the file."""
    if config.out is not None:
        _refuse_existing(config.out.expanduser(), config)
    import torch

    from hmr_light.body import load_body
    from hmr_light.deployment.export import export_file
    from hmr_light.deployment.formats import FORMATS
    from hmr_light.deployment.page import export_page
    from hmr_light.deployment.parity import CROPS
    from hmr_light.deployment.precision import choose_precision
    from hmr_light.deployment.scoring import score_both
    from hmr_light.model.file_predictor import TITLES, optional_package

    kind = "onnx" if config.format == "web" else config.format
    for package in FORMATS[kind].packages:
        optional_package(package, kind)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if config.model == FINDER:
        return _export_finder(config)
    checkpoint = _checkpoint(config)
    precision = choose_precision(checkpoint, config.precision)
    out = _out(config, checkpoint, precision)
    _refuse_existing(out, config)
    _warn(config, checkpoint)
    print(f"exporting {checkpoint.path}, which may take a minute", file=sys.stderr)
    given: dict[str, Any] = {
        "precision": precision,
        "tracking_uri": config.tracking.uri,
        "judge": lambda model, file: score_both(_evaluation(config), model, file, config.images),
    }
    body = load_body(**config.body.files())
    missing: tuple[str, ...] = ()
    if config.format == "web":
        exported, missing = export_page(checkpoint, body, out, **given)
    else:
        given |= {"format": config.format, "pixels": config.input, "outputs": config.outputs}
        exported = export_file(checkpoint, body, out, **given)
    parity = exported.parity
    print(f"{exported.path}: {exported.size:,} bytes, {exported.precision}")
    print(
        f"  {TITLES[kind]} {exported.version} and the model differ on {CROPS} crops by "
        f"{parity.parameters:.1e} in the parameters, and {parity.millimetres:.2g} mm"
    )
    if scored := exported.scored:
        print(
            f"  MPJPE on {scored.people} people of {scored.evaluated_on}: the file {scored.file_mm:.2f} mm, the model "
            f"{scored.model_mm:.2f} mm"
        )
    elif precision != "float32":
        print("  no evaluation set is here: its error was not compared with the model's (see data=)", file=sys.stderr)
    _log(exported, checkpoint, config)
    if config.format == "web":
        _tell_of_page(out, missing)
    else:
        draw = command_line("predict", {"checkpoint": out, "input": sample_photograph()})
        print(f"  next: {draw}", file=sys.stderr)
    return out


def _tell_of_page(out: Path, missing: Sequence[str]) -> None:
    """What else the page needs, and how it is opened."""
    from hmr_light.deployment.page import RUNTIME, RUNTIME_PACKAGE, RUNTIME_VERSION

    if missing:
        print(
            f"note: the page needs ONNX Runtime Web. Put {', '.join(missing)} into {out / RUNTIME}: they are in the "
            f"folder dist of the npm package {RUNTIME_PACKAGE} {RUNTIME_VERSION}. (In a checkout, "
            "scripts/get_onnxruntime_web.sh fetches them for all later exports.)",
            file=sys.stderr,
        )
    serve = f"python -m http.server --bind 127.0.0.1 --directory {shlex.quote(str(out))} 8000"
    print(f"  next: {serve}   and open http://127.0.0.1:8000/", file=sys.stderr)


def _export_finder(config: ExportConfig) -> Path:
    from hmr_light.deployment.finder import export_finder

    out = config.out.expanduser() if config.out else Path(f"{FINDER}.onnx")
    _refuse_existing(out, config)
    exported = export_finder(out, pixels=config.input)
    print(f"{out}: {exported.size:,} bytes, float16")
    print(f"  ONNX Runtime and MoveNet differ by {exported.scores:.1e} in the scores, and {exported.pixels:.1g} pixels")
    print(f"  next: {command_line('export', {'model': 'pocket'})}", file=sys.stderr)
    return out


def _checkpoint(config: ExportConfig) -> Checkpoint:
    from hmr_light.checkpoints.loading import load_checkpoint
    from hmr_light.checkpoints.models import best_checkpoint

    if config.run is None:
        return load_checkpoint(Path(config.model) if config.model else Path(str(config.checkpoint)))
    checkpoint = best_checkpoint(config.run, config.tracking.uri)
    print(f"checkpoint: {checkpoint.path}", file=sys.stderr)
    return checkpoint


def _evaluation(config: ExportConfig) -> EvaluateConfig:
    """How the file is scored."""
    shared = {
        field.name: getattr(config, field.name) for field in fields(EvaluateConfig) if hasattr(config, field.name)
    }
    return EvaluateConfig(
        **shared | {"run": None, "checkpoint": Path(), "checkpoints": "best", "device": "cpu", "out": None}
    )


def _out(config: ExportConfig, checkpoint: Checkpoint, precision: str) -> Path:
    """Where the file goes."""
    from hmr_light.tracking.journal import has_journal

    if config.out is not None:
        return config.out.expanduser()
    path, ending = checkpoint.path, f"-{precision}{ENDINGS.get(config.format, '-web')}"
    if zoo_file(path.stem) == path:
        return Path(f"{path.stem}{ending}")
    folder = checkpoint.run_dir
    return folder / f"model{ending}" if has_journal(folder) else path.with_name(f"{path.stem}{ending}")


def _refuse_existing(out: Path, config: ExportConfig) -> None:
    for file in (out, *([out.with_suffix(".bin")] if config.format == "openvino" else [])):
        if is_there(file):
            raise UserError(f"out={file} is there already", "Give another out=, or remove it.")


def _warn(config: ExportConfig, checkpoint: Checkpoint) -> None:
    trained, chosen = checkpoint.body, config.body.name
    if config.outputs == "parameters" and config.format != "web":
        return
    if trained not in (None, chosen):
        print(f"note: trained with body={trained}, exported with body={chosen}: shapes will differ", file=sys.stderr)
    if chosen != "embedded":
        print(
            f"warning: the file holds numbers of body={chosen}: whoever gets it needs that body's licence. SMPL's is "
            "for non-commercial scientific research, and does not allow to pass its numbers on.",
            file=sys.stderr,
        )


def _log(exported: Exported, checkpoint: Checkpoint, config: ExportConfig) -> None:
    """Write the figures of the file to the run that its checkpoint is of."""
    from hmr_light.tracking import continue_tracking
    from hmr_light.tracking.journal import has_journal
    from hmr_light.training.provenance import file_sha256

    if not has_journal(checkpoint.run_dir):
        return
    prefix = f"export/{config.format}/{exported.precision}"
    with continue_tracking(checkpoint.run_dir, uri=config.tracking.uri) as tracker:
        tracker.tags({f"hmr_light.{prefix.replace('/', '.')}": f"{exported.path.name} {file_sha256(exported.path)}"})
        figures = {
            "bytes": float(exported.size),
            "parameters_difference": exported.parity.parameters,
            "difference_mm": exported.parity.millimetres,
        }
        if exported.scored:
            figures |= {"mpjpe_mm": exported.scored.file_mm, "mpjpe_of_model_mm": exported.scored.model_mm}
        tracker.metrics({f"{prefix}/{name}": value for name, value in figures.items()}, step=checkpoint.epoch)
