"""What a real run looks like in MLflow: its best checkpoint can be loaded, its data, name and recipe are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from mlflow.exceptions import MlflowException
from support.cli import compose
from support.small_run import options, write_data

from hmr_light.body import load_body
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.commands import train
from hmr_light.data.annotations import fingerprint, load_annotations
from hmr_light.data.dataset import MeshDataset
from hmr_light.model.hmr import normalize
from hmr_light.reports.rows import read_rows
from hmr_light.tracking.replay import replay
from hmr_light.tracking.store import connect, default_uri

# The commands that the run prints are tried, and need a home.
pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs in the store `mlflow.db`, sent twice; its journal is in `outputs`."""
    folder = tmp_path_factory.mktemp("run")
    write_data(folder / "data")
    command, *arguments = options(folder / "data", folder / "outputs", "row=our model", "seed=7")
    train.run(compose(command, *arguments))
    (run_dir,) = (folder / "outputs" / "hmr_light").iterdir()
    replay(run_dir, default_uri(folder))
    (run_dir / "mlflow.json").unlink()  # as if nobody knew that it was sent
    replay(run_dir, default_uri(folder))
    return folder


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Any]:
    """The logged models by name."""
    client = connect(default_uri(folder), create=False)
    found = client.search_logged_models([client.get_experiment_by_name("hmr_light").experiment_id])
    return {model.name: model for model in found}


def best_of(folder: Path) -> Path:
    """The checkpoint file with the lowest MPJPE, from the journal's lines."""
    (run_dir,) = (folder / "outputs" / "hmr_light").iterdir()
    lines = [json.loads(line) for line in (run_dir / "journal.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["kind"] == "checkpoint"]
    return run_dir / min(kept, key=lambda line: float(line["values"]["mpjpe_mm"]))["path"]


def test_each_checkpoint_is_a_model_named_by_row_and_epoch(models: dict[str, Any]) -> None:
    assert models.keys() == {"our model-1", "our model-2"}


def test_the_best_checkpoint_can_be_loaded_and_gives_what_the_network_gives(
    folder: Path, models: dict[str, Any]
) -> None:
    path = best_of(folder)
    best, other = sorted(models.values(), key=lambda model: model.tags["path"] != str(path))
    dataset = MeshDataset(folder / "data" / "val.npz", folder / "data", image_size=64)
    crops = torch.stack([dataset[index]["image"] for index in range(3)])
    with torch.no_grad():
        expected = load_checkpoint(path).build()(normalize(crops))
        joints = load_body()(expected.rotations, expected.betas).joints
    loaded = mlflow.pyfunc.load_model(f"models:/{best.model_id}")
    found = loaded.predict(crops.permute(0, 2, 3, 1).numpy())
    for name, value in {**expected._asdict(), "joints": joints}.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], value.numpy(), atol=1e-4)
    assert loaded.metadata.signature.inputs.input_types() == [np.dtype(np.uint8)]
    assert set(loaded.metadata.signature.outputs.input_names()) == set(found)
    example = loaded.input_example
    assert loaded.predict(example)["joints"].shape == (1, 49, 3)
    with pytest.raises(MlflowException, match="external"):
        mlflow.pyfunc.load_model(f"models:/{other.model_id}")


def test_the_best_checkpoint_holds_no_pickled_object_of_ours(folder: Path, models: dict[str, Any]) -> None:
    files = [path for path in (folder / "mlartifacts").rglob("*") if path.is_file()]
    assert [path.name for path in files if path.suffix == ".pt"] == [best_of(folder).name]
    assert "loadable_model.py" in {path.name for path in files}
    assert not [path for path in files if path.suffix in (".pkl", ".pickle")]


def test_the_best_checkpoint_can_be_registered_with_an_alias(folder: Path, models: dict[str, Any]) -> None:
    path = best_of(folder)
    (best,) = (model for model in models.values() if model.tags["path"] == str(path))
    client = connect(default_uri(folder), create=False)
    version = mlflow.register_model(f"models:/{best.model_id}", "light")
    client.set_registered_model_alias("light", "champion", version.version)
    champion = mlflow.pyfunc.load_model("models:/light@champion")
    assert champion.predict(np.zeros((2, 80, 50, 3), np.uint8))["betas"].shape == (2, 10)


def test_the_run_says_its_seed_data_and_recipe(folder: Path) -> None:
    client = connect(default_uri(folder), create=False)
    (run,) = client.search_runs([client.get_experiment_by_name("hmr_light").experiment_id])
    (run_dir,) = (folder / "outputs" / "hmr_light").iterdir()
    assert run.info.run_name == f"s7 our model {run_dir.name[:13]}"
    inputs = [
        ({tag.key: tag.value for tag in one.tags}["mlflow.data.context"], one.dataset.name, one.dataset.digest)
        for one in client.get_run(run.info.run_id).inputs.dataset_inputs
    ]
    digests = {name: fingerprint(load_annotations(folder / "data" / f"{name}.npz"))[:36] for name in ("train", "val")}
    expected = [("evaluation", "synthetic", digests["val"]), ("training", "synthetic", digests["train"])]
    assert sorted(inputs) == expected
    description = run.data.tags["mlflow.note.content"]
    for part in ("backbone mobilenet_v1, regressor spin", "2 epochs in batches of 4, seed 7", "lsp14", str(run_dir)):
        assert part in description


def test_no_figure_has_two_names_in_mlflow_and_the_table_reads_the_same(folder: Path) -> None:
    client = connect(default_uri(folder), create=False)
    (run,) = client.search_runs([client.get_experiment_by_name("hmr_light").experiment_id])
    assert "mpjpe_mm" in run.data.metrics
    assert not [name for name in run.data.metrics if name.startswith("synthetic/")]
    by_epoch = [name for name in run.data.metrics if not name.startswith("best/")]  # these are of one epoch, once
    assert len({name.rpartition("/")[2] for name in by_epoch}) == len(by_epoch)
    rows = read_rows(default_uri(folder), "hmr_light")
    shown = {row.epoch: row["mpjpe_mm"] for row in rows}
    history = {point.step: point.value for point in client.get_metric_history(run.info.run_id, "mpjpe_mm")}
    assert shown == history
    assert {row.evaluated_on for row in rows} == {"synthetic"}
