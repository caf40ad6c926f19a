"""A model is found by a file, by a run's directory, and by an MLflow run id."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hmr_light import paths
from hmr_light.body.joints import OPENPOSE25_NAMES
from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.hmrz import write_hmrz
from hmr_light.checkpoints.loading import load_checkpoint, start_from
from hmr_light.checkpoints.models import ZOO, best_checkpoint, load_model
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model, normalize
from hmr_light.model.predictor import Predictor
from hmr_light.paths import sample_photograph, zoo_names

# In the sample photograph, by hand: left, top, width, height, pixels.
MAN = (0, 62, 330, 450)

NODES = {
    "backbone": {"name": "squeezenet1_1", "weights": None, "adapter": {"name": "pooled"}},
    "regressor": {"name": "spin", "hidden": 16, "iterations": 3, "dropout": 0.5},
}
CONFIG = {**NODES, "data": {"image_size": 64}, "body": {"name": "embedded"}}


def write_run(run_dir: Path, errors: list[float]) -> Path:
    for epoch, error in enumerate(errors, 1):
        model = build_model(NODES)
        save_model(run_dir / "checkpoints" / f"epoch-{epoch:03d}.pt", model, CONFIG, epoch, {"mpjpe_mm": error})
    return run_dir


def test_a_loaded_model_computes_what_the_saved_network_does(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [100.0])
    file = run_dir / "checkpoints" / "epoch-001.pt"
    network = build_model(NODES)
    network.load_state_dict(torch.load(file, weights_only=True)["model"])
    crops = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        expected = network.eval()(normalize(crops))
    for source in (file, str(file), run_dir):
        model = load_model(source, device="cpu")
        assert (model.image_size, model.body_name) == (64, "embedded")
        for one, other in zip(model(crops), expected, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-5)


def test_the_best_checkpoint_has_the_lowest_finite_error_and_of_equals_is_the_last(tmp_path: Path) -> None:
    for number, (errors, best) in enumerate(
        [([300.0, 200.0, 250.0], 2), ([float("nan"), 200.0, 200.0], 3), ([float("nan"), float("inf")], 2)]
    ):
        assert best_checkpoint(str(write_run(tmp_path / str(number), errors)), None).epoch == best


def test_the_model_in_the_package_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = load_model("mobile", device="cpu")
    assert (model.image_size, model.body_name) == (192, "embedded")
    rng = np.random.default_rng()
    crops = torch.from_numpy(rng.integers(0, 256, (4, 3, 192, 192), dtype=np.uint8))
    found = model(crops)
    assert all(torch.isfinite(value).all() for value in found)
    # A file of that name comes first.
    (tmp_path / "mobile").write_text("no model")
    with pytest.raises(UserError):
        load_model("mobile", device="cpu")


def test_a_model_of_the_package_may_be_a_coded_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "_PACKAGE", tmp_path)
    config = {**CONFIG, "regressor": {"name": "linear"}}
    kept = save_model(tmp_path / "a.pt", build_model(config).eval(), config, 1, {})
    (tmp_path / "zoo").mkdir()
    write_hmrz(tmp_path / "zoo" / "tiny.hmrz", kept)
    assert zoo_names() == ["tiny"]
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    for ours, theirs in zip(load_model("tiny", "cpu")(images), load_model(kept.path, "cpu")(images), strict=True):
        assert torch.equal(ours, theirs)
    with pytest.raises(UserError) as caught:
        load_model("tyni", "cpu")
    assert "one of: tiny" in caught.value.remedy


def test_the_models_in_the_package_are_small_and_hold_no_path_of_a_machine() -> None:
    for path in ZOO.glob("*.pt"):
        checkpoint = load_checkpoint(path)
        assert path.stat().st_size < 8e6
        assert all(value.dtype == torch.float16 for value in checkpoint.state.values() if value.is_floating_point())
        values: list[object] = [checkpoint.config]
        while values:
            value = values.pop()
            values += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
            assert not (isinstance(value, str) and Path(value).is_absolute()), value


def test_weights_that_are_not_finite_neither_predict_nor_start_a_training(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [float("nan")])
    file = run_dir / "checkpoints" / "epoch-001.pt"
    content = torch.load(file, weights_only=True)
    content["model"]["regressor.fc1.weight"][0, 0] = float("nan")
    torch.save(content, file)
    for source in (file, run_dir):
        with pytest.raises(UserError, match=r"not finite: in regressor\.fc1\.weight") as caught:
            load_model(source, device="cpu")
        assert "diverged" in caught.value.remedy
    with pytest.raises(UserError, match="not finite"):
        start_from(build_model(NODES), file)


def test_what_names_no_model_is_refused(tmp_path: Path, home: Path) -> None:
    for source, says in ((tmp_path / "none.pt", "there is no checkpoint"), (tmp_path / "none", "there is no run")):
        with pytest.raises(UserError, match=says):
            load_model(source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no checkpoints"):
        load_model(tmp_path / "empty")


def test_the_model_in_the_package_sees_the_man_in_the_photograph() -> None:
    image = cv2.imread(str(sample_photograph()), cv2.IMREAD_COLOR_RGB)
    left, top, width, height = MAN
    people = Predictor(load_model("mobile", device="cpu"))(image, boxes=[MAN])
    x, y = ((people.joints_2d[0] - (left, top)) / (width, height)).T
    inside = (np.abs(x - 0.5) < 0.65) & (np.abs(y - 0.5) < 0.65)  # his legs end below the picture
    assert inside.mean() > 0.6
    nose, hips = OPENPOSE25_NAMES.index("nose"), OPENPOSE25_NAMES.index("mid_hip")
    assert y[nose] < y[hips] - 0.2, "his head is up"
    assert x[nose] > x[hips], "he leans towards the camera on its tripod, to the right"
