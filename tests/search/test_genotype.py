"""Random genotypes of every space become configuration, network, checkpoint, exported file and figures."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from support.cli import compose
from support.exported import export, trained
from support.small_run import write_data
from support.spaces import SPACES, draw, packaged

from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.commands.evaluate import run as evaluate
from hmr_light.model.hmr import build_model, normalize
from hmr_light.search.genotype import Genotype
from hmr_light.search.parts import cost_of


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def write_checkpoint(folder: Path, genotype: Genotype) -> Path:
    nodes = genotype.nodes()
    size = nodes.pop("image_size")
    config = {**nodes, "data": {"name": "x", "image_size": size}, "body": {"name": "embedded"}, "row": "found"}
    return save_model(folder / "found.pt", trained(build_model(nodes)), config, 1, {"mpjpe_mm": 1.0}).path


@pytest.mark.parametrize(
    "name", [name if name == "tiny" else pytest.param(name, marks=pytest.mark.slow) for name in SPACES]
)
def test_a_genotype_is_built_saved_exported_and_evaluated(name: str, home: Path, data: Path) -> None:
    genotype = draw(packaged(name))
    path = write_checkpoint(home, genotype)
    model = load_checkpoint(path).build()
    assert sum(one.numel() for one in model.backbone.parameters()) < cost_of(genotype).parameters
    size = genotype.image_size
    crops = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    with torch.no_grad():
        truth = model(normalize(crops))
    file = export(f"checkpoint={path}", "images=0", f"out={home / 'found.onnx'}")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(["rotations", "betas", "camera"], {"image": crops.permute(0, 2, 3, 1).numpy()})
    for one, other in zip(found, truth, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-3)
    evaluate(compose("evaluate", f"checkpoint={path}", f"data.root={data}", "tracking=journal", "threads=1"))


def test_equal_layers_are_one_genotype_with_one_key() -> None:
    genotype = draw(packaged("tiny"))
    stages = genotype.nodes()["backbone"]["stages"]
    assert sum(stage["repeat"] for stage in stages) == len(genotype.blocks)
    assert all(one != other for one, other in itertools.pairwise(stages))
    twin = Genotype(**vars(genotype))
    assert twin == genotype
    assert twin.key == genotype.key
