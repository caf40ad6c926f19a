"""The rows of the reference table of results, one experiment file each."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import compose

from hmr_light.cost.parameters import count_parameters
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model
from hmr_light.paths import conf_dir

# file, the reference label, their number of parameters
ROWS = [
    ("hmr", "hmr", 26_977_501),
    ("pre_resnet", "pre_resnet", 26_977_501),
    ("squeezenet1_0", "squeezenet1_0", 5_255_517),
    ("densenet", "densenet", 12_522_525),
    ("squeezenet_100", "squeezenet_100", 5_255_517),
    ("mobilenetv2-1", "mobilenetv2(1)", 5_901_189),
    ("mobilenetv2-2", "mobilenetv2(2)", 5_901_189),
    ("mobilenet-test", "mobilenet-test", 5_901_189),
    ("mobilenetv3", "mobilenetv3", 5_334_685),
    ("shuffle", "shuffle", 4_274_237),
    ("mobilenetv2_2", "mobilenetv2_2", 5_901_189),
    ("squeezenet_1", "squeezenet_1", 3_644_741),
    ("squeezenet_100_2", "squeezenet_100_2", 5_255_517),
    ("squeezenet_2", "squeezenet_2", 4_606_613),
]


@pytest.mark.parametrize(("experiment", "row", "parameters"), ROWS)
def test_an_experiment_has_the_reference_label_and_parameters(
    experiment: str, row: str, parameters: int, home: Path
) -> None:
    config = compose("train", f"experiment=reference/{experiment}")
    assert config.row == row
    backbone = {**config.backbone, "weights": None}
    model = build_model({"backbone": backbone, "regressor": config.regressor})
    assert count_parameters(model).total == parameters
    text = (conf_dir() / "experiment" / "reference" / f"{experiment}.yaml").read_text()
    assert f"{parameters:,} parameters" in text
    assert "recipe" in text  # that it is ours


def test_pre_resnet_starts_from_imagenet(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    config = compose("train", "experiment=reference/pre_resnet")
    with pytest.raises(UserError, match=r"resnet50-0676ba61.pth could not be loaded"):
        build_model({"backbone": config.backbone, "regressor": config.regressor})


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("shufflenet_v2_x1_0", 4_674_921),
        ("densenet169", 16_545_797),
        ("densenet201", 22_410_245),
        ("mobilenet_v3_large", 7_879_349),
    ],
)
def test_the_logits_of_other_networks_give_totals_published_elsewhere(name: str, total: int) -> None:
    backbone = {"name": name, "adapter": {"name": "logits"}}
    assert count_parameters(build_model({"backbone": backbone, "regressor": {"name": "spin"}})).total == total
