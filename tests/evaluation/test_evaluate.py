"""A checkpoint is scored by one function, which prints and writes nothing, and computes as training does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.small_run import write_data
from torch import nn

from hmr_light.body import load_body
from hmr_light.checkpoints.format import Checkpoint, save_model
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.checkpoints.transforms import apply_transforms
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.distributed import Distributed
from hmr_light.evaluation.evaluate import evaluate_checkpoint, make_fast
from hmr_light.evaluation.protocols import Scorer, build_protocol
from hmr_light.model.hmr import HMR, build_model, normalize

CPU = torch.device("cpu")


def config(backbone: str) -> dict[str, Any]:
    return {
        "backbone": {"name": backbone, "adapter": {"name": "pooled"}},
        "regressor": {"name": "spin", "hidden": 32, "iterations": 3, "dropout": 0.5},
        "data": {"image_size": 64},
    }


def trained(backbone: str) -> HMR:
    """A network with weights and statistics as after some training."""
    torch.manual_seed(int(np.random.default_rng().integers(2**31)))
    model = build_model(config(backbone))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
    for layer in (model.regressor.decpose, model.regressor.decshape):
        nn.init.normal_(layer.weight, std=0.05)  # type: ignore[arg-type, union-attr]
    return model.eval()


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "shufflenet_v2_x0_5", "densenet121", "squeezenet1_1"])
@torch.no_grad()
def test_the_fast_form_computes_what_the_network_does(backbone: str) -> None:
    model = trained(backbone)
    crops = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    expected, fast = model(normalize(crops)), make_fast(model, CPU)(crops)
    for name, value in fast._asdict().items():
        torch.testing.assert_close(value, getattr(expected, name), rtol=1e-3, atol=1e-3)


def test_a_checkpoint_needs_no_run_and_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path / "data")
    datasets = {name: MeshDataset(data / f"{name}.npz", data, image_size=64) for name in ("val", "train")}
    scorer = Scorer(build_protocol({"name": "lsp14"}), load_body())
    model = trained("mobilenet_v2")
    told: list[tuple[str, int]] = []

    def figures(checkpoint: Checkpoint, **options: Any) -> dict[str, float]:
        return evaluate_checkpoint(checkpoint, datasets, scorer, Distributed(0, 1, CPU), **options)

    save_model(tmp_path / "epoch-001.pt", model, config("mobilenet_v2"), 1, {})
    before = sorted(tmp_path.rglob("*"))
    found = figures(
        load_checkpoint(tmp_path / "epoch-001.pt"), on_batch=lambda name, images: told.append((name, images))
    )
    assert sorted(tmp_path.rglob("*")) == before
    assert capfd.readouterr() == ("", "")
    assert told == [("val", 5), ("train", 8), ("train", 8), ("train", 1)]
    assert all(np.isfinite(value) for value in found.values())
    assert found["val/dropped"] == 0
    assert {name.partition("/")[2] for name in found} >= {"mpjpe_mm", "pve_mm", "mean_pose_mpjpe_mm"}

    # However many images go through at once, and whatever was done to the structure: the same.
    folded = apply_transforms(model, [{"name": "fold", "options": {"batch_norms": True}}])
    save_model(tmp_path / "epoch-002.pt", folded, config("mobilenet_v2"), 2, {})
    for again in (
        figures(load_checkpoint(tmp_path / "epoch-001.pt"), batch_size=64),
        figures(load_checkpoint(tmp_path / "epoch-002.pt")),
    ):
        assert again == pytest.approx(found, abs=0.01)


def test_figures_by_another_protocol_than_the_runs_own_say_so(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    datasets = {"val": MeshDataset(data / "val.npz", data, image_size=64)}
    scorer = Scorer(build_protocol({"name": "h36m_p1"}), load_body())
    for own, prefix in (("h36m_p1", "val"), ("lsp14", "val:h36m_p1")):
        recorded = config("squeezenet1_1") | {"protocol": {"name": own}}
        checkpoint = Checkpoint(tmp_path / "a.pt", recorded, 1, "", build_model(recorded).state_dict(), {})
        found = evaluate_checkpoint(checkpoint, datasets, scorer, Distributed(0, 1, CPU))
        assert {name.rpartition("/")[0] for name in found} == {prefix}
