"""One small rendered set for all tests of the renderer."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.synthetic import COUNTS, reference_config

from hmr_light.body import SMPL, load_body
from hmr_light.data.annotations import Annotations, load_annotations
from hmr_light.data.synthetic import SyntheticConfig, prepare, prepare_synthetic
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import Renderer


@pytest.fixture(scope="session")
def body() -> SMPL:
    return load_body()


@pytest.fixture(scope="session")
def config() -> SyntheticConfig:
    return reference_config(seed=5, counts=COUNTS, workers=2)


@pytest.fixture(scope="session")
def renderer(config: SyntheticConfig, body: SMPL) -> Renderer:
    return Renderer(config, Mesh.of(body))


@pytest.fixture(scope="session")
def rendered(config: SyntheticConfig, body: SMPL, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rendered") / "set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepare, "PART", 7)  # several parts a split, the last one short
        prepare_synthetic(config, body, out)
    return out


@pytest.fixture(scope="session")
def labels(rendered: Path) -> Annotations:
    return load_annotations(rendered / "train.npz")
