"""The networks of docs/search.md, one experiment file each."""

from __future__ import annotations

import pytest
from support.cli import compose

from hmr_light.cost.macs import count_macs
from hmr_light.cost.parameters import count_parameters
from hmr_light.model.hmr import build_model
from hmr_light.paths import conf_dir

FILES = sorted((conf_dir() / "experiment" / "searched").glob("*.yaml"))


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_a_searched_network_costs_what_its_file_says(name: str) -> None:
    config = compose("train", f"experiment=searched/{name}")
    model = build_model({"backbone": config.backbone, "regressor": config.regressor})
    text = (conf_dir() / "experiment" / "searched" / f"{name}.yaml").read_text(encoding="utf-8")
    assert config.row == name
    assert f"parameters, regressor folded {count_parameters(model).total:,}" in text
    assert f"multiply-accumulates {count_macs(model, config.data.image_size).total:,}" in text
