"""Unstructured sparsity: which weights become zeros, and that they stay so."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from support.compression import change, rebuilt
from support.models import model_of
from torch import nn

from hmr_light.compression.steps import read_steps
from hmr_light.config.choices import compose_choice
from hmr_light.cost.parameters import count_effective, count_parameters
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR


def layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}


@pytest.fixture
def model() -> HMR:
    return model_of("shufflenet_v2_x0_5", "light").eval()


def test_each_layer_keeps_its_share_of_the_largest_weights(model: HMR) -> None:
    options = {"keep": 0.3, "layers": {"backbone.trunk.stage2.*": 0.5, "regressor.correction.3": 0.75}}
    small = rebuilt(model, change(model, "sparse", **options))
    for name, layer in layers(model).items():
        depthwise = isinstance(layer, nn.Conv2d) and layer.groups > 1
        listed = name.startswith("backbone.trunk.stage2.")
        share = 0.5 if listed else 0.75 if name == "regressor.correction.3" else 1.0 if depthwise else 0.3
        weight, own = layers(small)[name].weight, layer.weight
        kept = weight != 0
        assert int(kept.sum()) == math.ceil(round(share * own.numel(), 6)), name
        assert torch.equal(weight[kept], own[kept])
        if not kept.all():
            assert own[kept].abs().min() >= own[~kept].abs().max()


def test_globally_the_share_is_of_all_layers_together(model: HMR) -> None:
    small = rebuilt(model, change(model, "sparse", keep=0.25, scope="global"))
    changed = [one for one in layers(small).values() if not (isinstance(one, nn.Conv2d) and one.groups > 1)]
    total = sum(one.weight.numel() for one in changed)
    assert sum(int((one.weight != 0).sum()) for one in changed) == math.ceil(total / 4)
    shares = {float((one.weight != 0).float().mean()) for one in changed}
    assert len(shares) > 3, "layers keep what they need"


@pytest.mark.parametrize("then", [None, "prune"])
def test_zeros_stay_zeros_in_training(model: HMR, then: str | None) -> None:
    small = rebuilt(model, change(model, "sparse", keep=0.4))
    small = copy.deepcopy(small if then is None else rebuilt(small, change(small, then))).train()
    zeros = {name: one.weight == 0 for name, one in layers(small).items()}
    before = {name: one.weight.detach().clone() for name, one in layers(small).items()}
    # In three steps of this rate no weight that is kept can come to zero: of the smallest layer they are above 8e-4.
    optimizer = torch.optim.AdamW(small.parameters(), lr=1e-4, weight_decay=0.1, fused=True)
    for _ in range(3):
        optimizer.zero_grad()
        sum(value.square().sum() for value in small(torch.randn(4, 3, 64, 64))).backward()
        optimizer.step()
    for name, one in layers(small).items():
        assert torch.equal(one.weight == 0, zeros[name]), name
        assert not torch.equal(one.weight, before[name]), f"{name} has learned nothing"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"keep": 0.0}, "compression.keep=0.0 is no share"),
        ({"keep": 1.5}, "is no share"),
        ({"keep": "half"}, "compression.keep='half' is not a number"),
        ({"layers": {"*": True}}, "compression.layers.*=True is no share"),
        ({"scope": "all"}, "compression.scope"),
        ({"keeep": 0.5}, "Did you mean 'keep'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_done(options: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as refused:
        read_steps({"name": "sparse", **options})
    assert says in str(refused.value)


def test_a_name_that_no_layer_has_is_told(model: HMR) -> None:
    with pytest.raises(UserError, match="names fire2, and no convolution"):
        change(model, "sparse", layers={"fire2": 0.5})


def test_the_table_of_squeezenet_keeps_its_421098_parameters() -> None:
    network = model_of("squeezenet1_0_logits", "linear")
    options = {key: value for key, value in compose_choice("compression", "squeezenet_table").items() if key != "steps"}
    small = rebuilt(network, change(network, **options))
    assert count_parameters(small).backbone == 1_248_424
    assert count_effective(small.backbone) == 421_098
    by_fire = [count_effective(one) for one in small.backbone.trunk if type(one).__name__ == "Fire"]
    assert by_fire == [5_746, 6_258, 20_646, 24_742, 44_700, 46_236, 77_581, 77_581]
    assert count_effective(small.backbone.trunk[0]) == 14_208
    assert count_effective(small.backbone.adapter) == 103_400
