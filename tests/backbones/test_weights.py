"""The weights that a backbone starts from: all of them, or an error."""

from __future__ import annotations

import pickle
import socket
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from hmr_light.backbones import build_backbone, complete
from hmr_light.cost.macs import count_macs
from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model

NAME = "squeezenet1_1"
CONV = {"name": "conv", "features": 64}
LOGITS = {"name": "logits"}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    import torchvision

    torch.manual_seed(7)
    return torchvision.models.get_model(NAME, weights=None).state_dict()


def write(state: object, path: Path) -> str:
    torch.save(state, path)
    return str(path)


def refusal(weights: str, adapter: dict[str, object] = CONV, name: str = NAME) -> UserError:
    with pytest.raises(UserError) as caught:
        build_backbone({"name": name, "weights": weights, "adapter": adapter})
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("adapter", [CONV, LOGITS, {"name": "pooled"}])
def test_a_local_file_is_loaded_whole(state: dict, tmp_path: Path, adapter: dict) -> None:
    path = write(state, tmp_path / "weights.pth")
    backbone = build_backbone({"name": NAME, "weights": path, "adapter": adapter})
    trunk = {f"features.{name}": value for name, value in backbone.trunk.state_dict().items()}
    assert trunk.keys() == {name for name in state if name.startswith("features.")}
    assert all(torch.equal(value, state[name]) for name, value in trunk.items())
    if adapter is LOGITS:
        assert torch.equal(backbone.adapter.state_dict()["1.weight"], state["classifier.1.weight"])


def test_a_classifier_may_be_missing_or_other_only_where_it_is_replaced(state: dict, tmp_path: Path) -> None:
    trunk = {name: value for name, value in state.items() if name.startswith("features.")}
    path = write(trunk, tmp_path / "trunk.pth")
    build_backbone({"name": NAME, "weights": path, "adapter": CONV})
    assert "2 missing: classifier.1.bias, classifier.1.weight" in refusal(path, LOGITS).message
    state["classifier.1.weight"] = torch.zeros(10, 512, 1, 1)
    path = write(state, tmp_path / "ten_classes.pth")
    build_backbone({"name": NAME, "weights": path, "adapter": CONV})
    assert "classifier.1.weight (10, 512, 1, 1) for (1000, 512, 1, 1)" in refusal(path, LOGITS).message


def test_what_does_not_fit_is_listed(state: dict, tmp_path: Path) -> None:
    del state["features.0.bias"]
    state["features.0.weight"] = torch.zeros(1)
    state["more"] = torch.zeros(1)
    message = refusal(write(state, tmp_path / "weights.pth")).message
    for fault in ("1 missing: features.0.bias", "1 unexpected: more", "features.0.weight (1,) for (64, 3, 3, 3)"):
        assert fault in message


def test_values_that_are_not_finite_are_refused(state: dict, tmp_path: Path) -> None:
    state["features.3.squeeze.weight"][0, 0] = torch.nan
    assert "features.3.squeeze.weight" in refusal(write(state, tmp_path / "weights.pth")).message


def test_batch_counters_may_be_missing(tmp_path: Path) -> None:
    # Files of torch before 0.4.1 have none.
    import torchvision

    state = torchvision.models.resnet18().state_dict()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    backbone = build_backbone({"name": "resnet18", "weights": write(old, tmp_path / "old.pth")})
    assert torch.equal(backbone.trunk.state_dict()["conv1.weight"], state["conv1.weight"])


@pytest.mark.parametrize("container", ["state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module."])
def test_weights_as_training_scripts_save_them_are_unwrapped(
    state: dict, tmp_path: Path, container: str | None, prefix: str
) -> None:
    wrapped = {prefix + name: value for name, value in state.items()}
    content = {container: wrapped, "epoch": 1, "args": Namespace(rate=0.1)} if container else wrapped
    backbone = build_backbone({"name": NAME, "weights": write(content, tmp_path / "a.pth"), "adapter": CONV})
    assert torch.equal(backbone.trunk.state_dict()["0.weight"], state["features.0.weight"])


def test_a_checkpoint_of_ours_is_told_how_to_start_from_it(tmp_path: Path) -> None:
    path = write({"format": 2, "config": {}, "model": {}}, tmp_path / "epoch-001.pt")
    error = refusal(path)
    assert "is a checkpoint of hmr_light" in error.message
    assert f"init={path}" in error.remedy


def test_another_networks_weights_are_refused(state: dict, tmp_path: Path) -> None:
    message = refusal(write(state, tmp_path / "weights.pth"), {"name": "pooled"}, name="resnet18").message
    assert "does not fit resnet18" in message


def test_files_that_are_not_weights_are_refused(tmp_path: Path) -> None:
    missing, text, cut = tmp_path / "missing.pth", tmp_path / "text.pth", tmp_path / "cut.pth"
    assert "no such file" in refusal(str(missing)).message
    text.write_text("not weights")
    assert "cannot be read" in refusal(str(text)).message
    torch.save({"a": torch.zeros(1000)}, cut)
    cut.write_bytes(cut.read_bytes()[:700])
    assert "cannot be read" in refusal(str(cut)).message
    assert "it is a folder" in refusal(str(tmp_path)).message
    assert "not a state_dict" in refusal(write([1, 2], tmp_path / "list.pth")).message
    assert "not a state_dict" in refusal(write({"epoch": 3}, tmp_path / "dict.pth")).message


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return Path.touch, (tmp_path / "harmed",)

    path = tmp_path / "hostile.pth"
    torch.save({"features.0.weight": Hostile()}, path)
    assert "cannot be read" in refusal(str(path)).message
    path.write_bytes(pickle.dumps(Hostile(), protocol=2))
    assert "cannot be read" in refusal(str(path)).message
    assert not (tmp_path / "harmed").exists()


@pytest.fixture
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of torch's, without the network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    return tmp_path / "hub" / "checkpoints"


def test_imagenet_weights_that_cannot_be_had_are_an_error(torch_home: Path) -> None:
    error = refusal("imagenet")
    assert "backbone.weights=imagenet: squeezenet1_1-b8a52dc0.pth could not be loaded" in error.message
    assert "backbone.weights=/path/to/file.pth" in error.remedy
    assert str(torch_home) in error.remedy
    assert socket.getdefaulttimeout() is None


def test_imagenet_weights_come_from_torchs_cache(state: dict, torch_home: Path) -> None:
    torch_home.mkdir(parents=True)
    write(state, torch_home / "squeezenet1_1-b8a52dc0.pth")
    backbone = build_backbone({"name": NAME, "weights": "imagenet", "adapter": CONV})
    assert torch.equal(backbone.trunk.state_dict()["0.weight"], state["features.0.weight"])


def test_a_damaged_cache_is_an_error(torch_home: Path) -> None:
    torch_home.mkdir(parents=True)
    (torch_home / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"half a download")
    assert "could not be loaded" in refusal("imagenet").message


MOVENET = {"name": "mobilenet_v2", "weights": "movenet", "adapter": {"name": "pooled"}}


def test_movenets_features_are_those_of_its_own_graph() -> None:
    # Recorded from the TensorFlow.js graph, computed node by node in float64 (scripts/build_movenet.py).
    pixels = torch.arange(3 * 96 * 128, dtype=torch.float64).mul(0.37).sin().view(1, 3, 96, 128)[..., :96]
    every_80th = [0.54504, 0.32855, 0.61257, 0.11734, 0.04554, 0.01898, 0.90152, 0.18059]
    every_80th += [0.95184, 0.05677, 0.0, 0.28326, 0.0, 0.0, 0.09287, 0.46507]
    largest = {557: 4.796454, 517: 4.417948, 1114: 4.384395, 913: 4.211449, 156: 4.094189}
    backbone = build_backbone(MOVENET).double().eval()
    with torch.no_grad():
        features = backbone((pixels - backbone.offset) / backbone.scale)[0]
    assert features.shape == (1280,)
    torch.testing.assert_close(features[::80], torch.tensor(every_80th, dtype=torch.float64), atol=2e-5, rtol=0)
    for channel, value in largest.items():
        assert features[channel].item() == pytest.approx(value, abs=2e-5)
    assert features.norm().item() == pytest.approx(25.349081, abs=1e-4)


def test_movenets_convolutions_are_exact_in_float16_and_its_batch_norms_are_real() -> None:
    state = build_backbone(MOVENET).state_dict()
    for name, value in state.items():
        if value.ndim == 4:
            assert torch.equal(value.half().float(), value), name
        elif name.endswith("running_var"):
            scale = state[name.replace("running_var", "weight")]
            torch.testing.assert_close(scale, (value + 1e-5).sqrt(), msg=name)
            assert value.unique().numel() > 1, name


def test_what_movenets_weights_imply_is_written_into_the_config() -> None:
    plain = {"name": "mobilenet_v2", "weights": None, "padding": None, "pixels": None}
    assert complete(plain) == plain
    assert complete({**plain, "weights": "movenet"}) == {
        "name": "mobilenet_v2", "weights": "movenet", "padding": "same", "pixels": "symmetric",
    }  # fmt: skip
    assert complete({**plain, "weights": "movenet", "padding": "torch"})["padding"] == "torch"
    # So a checkpoint, which is read without the weights, gives the same network.
    started = build_backbone(MOVENET).eval()
    read = build_backbone({**complete(MOVENET), "weights": None}).eval()
    read.load_state_dict(started.state_dict())
    image = torch.randn(2, 3, 64, 64)
    assert torch.equal(started(image), read(image))


def test_movenets_weights_are_refused_where_they_do_not_fit() -> None:
    assert "does not fit resnet18" in refusal("movenet", {"name": "pooled"}, "resnet18").message
    assert "backbone/adapter=pooled" in str(refusal("movenet", LOGITS, "mobilenet_v2").remedy)


def test_the_start_changes_no_cost() -> None:
    started, plain = (
        build_model({"backbone": {**MOVENET, "weights": weights}, "regressor": {"name": "linear"}})
        for weights in ("movenet", None)
    )
    assert sum(p.numel() for p in started.parameters()) == sum(p.numel() for p in plain.parameters()) == 2_424_989
    assert count_macs(started, 192) == count_macs(plain, 192)
