"""the reference table of sizes, and what the command does with other wishes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from support.cli import Command, compose

from hmr_light.checkpoints.models import load_model
from hmr_light.commands.profile import run
from hmr_light.config.choices import choices
from hmr_light.errors import UserError

SEEDS_TABLE = {
    "mobilenet_v1": ["4,231,976", "0.57", "115.43", "16.14", "132.15"],
    "mobilenet_v2_reference": ["3,504,872", "0.57", "157.24", "13.37", "171.19"],
    "mobilenet_v3_reference": ["2,938,368", "0.57", "40.17", "11.21", "51.95"],
    "shufflenet_v1_reference": ["1,877,920", "0.57", "62.08", "7.16", "69.82"],
    "shufflenet_v2_x1_0": ["2,278,604", "0.57", "47.94", "8.69", "57.21"],
}
HEADERS = [
    "Model",
    "# Parameters",
    "Input Size(MB)",
    "Forward/Backward pass size(MB)",
    "Params size(MB)",
    "Estimated Total Size(MB)",
]


def rows(text: str) -> list[list[str]]:
    return [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]


def test_the_reference_first_table_in_every_cell(capsys: pytest.CaptureFixture[str]) -> None:
    run(compose("profile", f"backbones=[{','.join(SEEDS_TABLE)}]"))
    header, _, *found = rows(capsys.readouterr().out)
    assert header[:6] == HEADERS
    assert {row[0]: row[1:6] for row in found} == SEEDS_TABLE


def test_every_backbone_without_being_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(compose("profile", "image_size=96", f"out={tmp_path / 'all.json'}"))
    content = json.loads((tmp_path / "all.json").read_text())
    found = {row["model"]: row for row in content["rows"]}
    told = capsys.readouterr().err
    missing = set(choices("backbone")) - found.keys() - {"blank"}
    assert all(f"{name} is left out" in told for name in missing)
    assert len(found) > 20
    for name, row in found.items():
        assert row["parameters"] == row["parameters_backbone"] + row["parameters_regressor"], name
        assert row["parameters_backbone"] < row["parameters_folded"] < row["parameters"], name
        assert row["macs"] > row["macs_backbone"] > 0, name
        assert 0 < row["peak_activation_mib"] < row["forward_backward_mib"], name
        # The file holds the parameters, running statistics, and the names of both.
        assert row["gradients_mib"] == pytest.approx(4 * row["parameters"] / 2**20), name
        assert row["memory_access_mib"] > row["parameters_mib"] / 2, name
        assert row["disk_mib"] == pytest.approx(4 * row["parameters"] / 2**20, rel=0.05), name


def test_layer_types_and_layers_add_up_to_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {}
    for by in ("model", "layer_type", "layer"):
        run(compose("profile", "backbones=[shufflenet_v2_x0_5,mobilenet_v2]", f"by={by}", "format=csv"))
        parts[by] = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    for whole in parts["model"]:
        for by in ("layer_type", "layer"):
            own = [row for row in parts[by] if row["model"] == whole["model"]]
            assert sum(int(row["parameters"]) for row in own) == int(whole["parameters_backbone"])
            assert sum(int(row["macs"]) for row in own) == int(whole["macs_backbone"])


def test_the_regressor_is_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    run(compose("profile", "backbones=[mobilenet_v2]", "regressor=light", "regressor.hidden=64", "format=json"))
    content = json.loads(capsys.readouterr().out)
    (row,) = content["rows"]
    assert row["parameters_regressor"] == (1000 + 158) * 64 + 157
    assert content["regressor"] == "light"


def test_weights_are_not_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    run(compose("profile", "backbones=[resnet18]", "format=json"))
    assert json.loads(capsys.readouterr().out)["rows"][0]["parameters_backbone"] == 11_176_512


def test_a_backbone_that_is_none_is_named() -> None:
    with pytest.raises(UserError) as caught:
        run(compose("profile", "backbones=[mobilenet_v2,mobilnet_v1]"))
    assert "backbones=mobilnet_v1" in caught.value.message
    assert "'mobilenet_v1'" in caught.value.remedy


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("by=layers", "Did you mean 'layer'?"),
        ("image_size=32", "image_size=32"),
        ("backbone=[a]", "Did you mean 'backbones'?"),
        ("format=latex", "Choose one of"),
    ],
)
def test_a_mistake_gets_one_message(override: str, says: str, hmr_light: Command) -> None:
    result = hmr_light("profile", override)
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_checkpoints_are_profiled_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    run(compose("profile", "checkpoints=[mobile]", "format=json"))
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["model"] == "mobile"
    assert row["image_size"] == 192
    count = sum(one.numel() for one in load_model("mobile", device="cpu").network.parameters())
    assert 0.99 * count < row["parameters_effective"] <= row["parameters"] == count
    with pytest.raises(UserError, match="are both given"):
        run(compose("profile", "checkpoints=[mobile]", "backbones=[resnet18]"))
