"""Weight sharing: few values in each layer, which training moves."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.compression import change, rebuilt
from support.models import model_of
from torch import nn

from hmr_light.checkpoints.format import save, save_model
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.compression.steps import read_steps
from hmr_light.config.choices import compose_choice
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR
from hmr_light.model.sharing import SharedWeights, with_own_weights


@pytest.fixture(scope="module")
def model() -> HMR:
    return model_of("shufflenet_v2_x0_5", "light").eval()


@pytest.fixture(scope="module")
def shared(model: HMR, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the file of a shared model holds."""
    config = {"backbone": compose_choice("backbone", "shufflenet_v2_x0_5"), "data": {"image_size": 64}}
    config["regressor"] = compose_choice("regressor", "light")
    path = tmp_path_factory.mktemp("shared") / "a.pt"
    save_model(path, rebuilt(model, change(model, "share", bits=2)), config, 1, {})
    return torch.load(path, weights_only=True)


def layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}


def test_each_weight_is_the_nearest_of_the_values_of_its_layer(model: HMR) -> None:
    small = rebuilt(model, change(model, "share", bits=3, layers={"backbone.trunk.stage4.*": 2, "regressor.*": 0}))
    for name, layer in layers(model).items():
        weight, own = layers(small)[name].weight.detach(), layer.weight.detach()
        if name.startswith("regressor."):
            assert torch.equal(weight, own)
            continue
        values = weight.unique()
        assert len(values) == (4 if name.startswith("backbone.trunk.stage4.") else 8), name
        torch.testing.assert_close((own - weight).abs(), (own[..., None] - values).abs().min(-1).values)


def test_pruned_weights_stay_zeros_and_are_one_of_the_values(model: HMR) -> None:
    sparse = rebuilt(model, change(model, "sparse", keep=0.3))
    small = rebuilt(sparse, change(sparse, "share", bits=4)).train()
    assert [one["name"] for one in small.transforms] == ["sparse", "normalise_features", "share"]
    zeros = {name: layer.weight == 0 for name, layer in layers(small).items()}
    for name, layer in layers(sparse).items():
        assert torch.equal(zeros[name], layer.weight == 0), name
        assert len(layers(small)[name].weight.unique()) <= 16
    optimizer = torch.optim.AdamW(small.parameters(), lr=1e-4, weight_decay=0.1)  # no value comes to zero by it
    sum(value.square().sum() for value in small(torch.randn(4, 3, 64, 64))).backward()
    optimizer.step()
    for name, layer in layers(small).items():
        assert torch.equal(layer.weight == 0, zeros[name]), name


def test_training_moves_each_value_by_the_gradients_of_all_its_weights(model: HMR) -> None:
    small = rebuilt(model, change(model, "share", bits=2, scale="channel"))
    images = torch.randn(2, 3, 64, 64)
    plain = with_own_weights(small).requires_grad_(True)
    for one in (small, plain):
        sum(value.square().sum() for value in one(images)).backward()
    name, layer = next((name, one) for name, one in small.named_modules() if isinstance(one, SharedWeights))
    gradient = layers(plain)[name].weight.grad
    assert gradient is not None
    assert layer.scales is not None
    scales = layer.scales.detach().view(-1, 1, 1, 1).expand_as(gradient)
    for index in range(len(layer.codebook)):
        chosen = layer.indices == index
        expected = (gradient * scales)[chosen].sum()
        torch.testing.assert_close(layer.codebook.grad[index], expected, rtol=1e-3, atol=1e-4)  # type: ignore[index]


def test_factors_of_channels_bring_the_weights_nearer(model: HMR) -> None:
    model = copy.deepcopy(model)  # other tests have it as it is

    @torch.no_grad()
    def error(**options: object) -> float:
        small = layers(rebuilt(model, change(model, "share", bits=2, **options)))
        return sum(float((small[name].weight - one.weight).square().sum()) for name, one in layers(model).items())

    with torch.no_grad():
        for layer in layers(model).values():
            layer.weight *= torch.rand(len(layer.weight)).view(-1, *[1] * (layer.weight.dim() - 1)) * 3
    assert error(scale="channel") < 0.7 * error()


def test_an_iterative_regressor_with_shared_weights_is_still_one_map() -> None:
    model = model_of("squeezenet1_1", "spin", "regressor.hidden=40").eval()
    small = rebuilt(model, change(model, "share", bits=3, layers={"backbone.*": 0}))
    features = torch.randn(3, small.regressor.fc1.in_features - 157)
    with torch.no_grad():
        for one, other in zip(small.regressor(features), small.regressor.fold()(features), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"bits": 9}, "compression.bits=9 is no number of bits"),
        ({"bits": 2.5}, "compression.bits=2.5 is not a whole number"),
        ({"layers": {"*": -1}}, "compression.layers.*=-1 is no number of bits"),
        ({"scale": "layer"}, "compression.scale"),
        ({"bit": 4}, "Did you mean 'bits'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_done(options: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as refused:
        read_steps({"name": "share", **options})
    assert says in str(refused.value)


def test_layers_that_are_not_there_or_too_small_are_told(model: HMR) -> None:
    with pytest.raises(UserError, match="names fire2, and no convolution"):
        change(model, "share", layers={"fire2": 2})
    with pytest.raises(UserError, match="no layer whose weights could be shared"):
        change(model, "share", bits=0)


@pytest.mark.parametrize(
    "options",
    [
        {"backbone.nothing": {"values": 4, "zero": False, "scale": False}},
        {"regressor.correction.3": {"values": 0, "zero": False, "scale": False}},
        {"regressor.correction.3": {"values": 256, "zero": True, "scale": False}},
        {"regressor.correction.3": {"values": True, "zero": False, "scale": False}},
        {"regressor.correction.3": {"values": 4, "zero": 1, "scale": False}},
        {"regressor.correction.3": {"values": 4}},
        {"regressor.correction.3": 4},
    ],
)
def test_a_checkpoint_with_other_options_is_refused(options: object, shared: dict[str, Any], tmp_path: Path) -> None:
    save(tmp_path / "a.pt", shared | {"transforms": [{"name": "share", "options": {"layers": options}}]})
    with pytest.raises(UserError):
        load_checkpoint(tmp_path / "a.pt").build()


def test_an_index_that_the_codebook_lacks_is_refused(shared: dict[str, Any], tmp_path: Path) -> None:
    name = next(name for name in shared["model"] if name.endswith(".indices"))
    indices = shared["model"][name].clone()
    indices.view(-1)[int(np.random.default_rng().integers(20))] = 4
    save(tmp_path / "a.pt", shared | {"model": shared["model"] | {name: indices}})
    with pytest.raises(UserError, match="its codebook lacks"):
        load_checkpoint(tmp_path / "a.pt").build()
