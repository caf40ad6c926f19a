"""A trained model by whatever names it: a checkpoint file, a run's directory, an MLflow run id, a name in the zoo."""

from __future__ import annotations

import re
from pathlib import Path

from hmr_light.backbones.state_dicts import refuse_not_finite
from hmr_light.checkpoints.format import Checkpoint
from hmr_light.checkpoints.loading import DIVERGED, load_checkpoint
from hmr_light.data.distributed import choose_device
from hmr_light.errors import UserError
from hmr_light.model.exported import is_exported, open_exported
from hmr_light.model.file_predictor import FilePredictor
from hmr_light.model.predictor import TorchPredictor
from hmr_light.model.sharing import with_own_weights
from hmr_light.paths import checkpoint_file, home, zoo_names
from hmr_light.tracking import find_run_dir
from hmr_light.tracking.records import selection_error
from hmr_light.tracking.store import default_uri

_RUN_ID = re.compile(r"[0-9a-f]{32}")
ZOO = Path(__file__).parents[1] / "zoo"
"""The models that come with the package: NAME.pt, or NAME.hmrz; docs/zoo.md describes them."""


def load_model(
    source: str | Path, device: str = "auto", *, tracking_uri: str | None = None
) -> TorchPredictor | FilePredictor:
    """The trained model of a checkpoint file, of a run's directory, or of an MLflow run id (its best checkpoint).

    Or a model that comes with the package, by its name: "mobile". Or a file that `hmr-light export` has written, which
    its own runtime runs on the CPU, with as many threads as torch has.
    `device` is auto, cpu or cuda. Run ids are looked up in `tracking_uri`; None takes the store of this project.
    Raises `UserError` for a source that does not exist, or that holds no model.
    """
    if is_exported(source):
        refuse_device(Path(source), device)
        return open_exported(Path(source).expanduser())
    return predictor_of(find_checkpoint(source, tracking_uri), device)


def refuse_device(file: Path, device: str) -> None:
    """Raise `UserError` where an exported file cannot run on `device`."""
    if device == "cuda":
        raise UserError(f"{file} runs on the CPU", "Leave device= out.")


def find_checkpoint(source: str | Path, tracking_uri: str | None = None) -> Checkpoint:
    """The checkpoint that `source` names, in one of the ways of `load_model`."""
    path = checkpoint_file(Path(source))
    if path.is_file() or (path.suffix and not path.is_dir()):
        return load_checkpoint(path)
    if not path.exists() and "/" not in str(source) and not _RUN_ID.fullmatch(str(source)):
        raise UserError(
            f"there is no run {source}",
            f"Name a run's folder, its MLflow run id, a checkpoint, or one of: {', '.join(zoo_names())}.",
        )
    return best_checkpoint(str(source), tracking_uri or default_uri(home()))


def best_checkpoint(run: str, tracking_uri: str | None) -> Checkpoint:
    """The checkpoint with the lowest error of a run, which is named by its directory or by its MLflow id.

    The error is the MPJPE, of 2D labels the reprojection error. Of equals it is the last one, and the last of all where
    none has a finite figure. Raises `UserError` for a run that does not exist, or that has no checkpoint.
    """
    (best,) = run_checkpoints(run, tracking_uri, "best")
    return best


def run_checkpoints(run: str, tracking_uri: str | None, which: str) -> list[Checkpoint]:
    """The `best`, the `last` or `all` checkpoints of a run, by epoch; see `best_checkpoint`."""
    run_dir = find_run_dir(run, tracking_uri)
    paths = sorted((run_dir / "checkpoints").glob("epoch-*.pt"))
    if not paths:
        raise UserError(f"{run_dir} has no checkpoints", "Name another run, or train this one to the end of an epoch.")
    checkpoints = [load_checkpoint(path) for path in (paths[-1:] if which == "last" else paths)]
    if which == "best":
        return [min(checkpoints, key=lambda one: (selection_error(one.metrics), -one.epoch))]
    return checkpoints


def predictor_of(checkpoint: Checkpoint, device: str = "auto", contrast: str | None = None) -> TorchPredictor:
    """The model of `checkpoint`, ready to predict with; its regressor is folded where that gives the same faster.

    `contrast` is that of its crops; None takes the one that it was trained with.

    Raises `UserError` for weights that are not finite: what they predict is no person.
    """
    refuse_not_finite(checkpoint.state, checkpoint.path, DIVERGED)
    place = choose_device(device)
    network = checkpoint.build().to(place)
    network = with_own_weights(network)
    network.regressor = network.regressor.fold()
    data = checkpoint.config["data"]
    return TorchPredictor(network, int(data["image_size"]), checkpoint.body, place, contrast or data.get("contrast"))
