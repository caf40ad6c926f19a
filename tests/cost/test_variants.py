"""Variants: other ways to the same result."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hmr_light.config.choices import compose_choice
from hmr_light.cost.variants import Runner, parse_variant
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model

CPU = torch.device("cpu")
BACKBONES = ["mobilenet_v3_reference", "shufflenet_v1_reference", "squeezenet1_1"]


def model_of(backbone: str, regressor: str = "spin") -> HMR:
    torch.manual_seed(0)
    nodes = {"backbone": compose_choice("backbone", backbone), "regressor": compose_choice("regressor", regressor)}
    model = build_model(nodes).eval()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
                module.running_var.uniform_(0.5, 2)
    return model


def outputs(model: HMR, variant: str, images: torch.Tensor) -> torch.Tensor:
    runner = Runner(model, parse_variant(variant), CPU, body=None)
    with torch.inference_mode():
        return torch.cat([value.float().flatten(1) for value in runner(runner.prepare(images))], dim=1)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(
    ("variant", "tolerance"),
    [
        ("eager", 0),
        ("folded", 1e-5),
        ("fused", 1e-5),
        ("channels_last", 1e-5),
        ("folded+fused+channels_last", 1e-5),
        ("bfloat16", 0.1),
        ("fused+folded+bfloat16", 0.1),
        pytest.param("compile+folded+fused+channels_last", 1e-5, marks=pytest.mark.slow),
    ],
)
def test_a_variant_computes_what_the_model_does(backbone: str, variant: str, tolerance: float) -> None:
    model = model_of(backbone)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = torch.cat([value.flatten(1) for value in model(images)], dim=1)
    assert (outputs(model, variant, images) - expected).abs().max() <= tolerance


def test_a_variant_leaves_the_model_as_it_was() -> None:
    model = model_of("mobilenet_v3_reference")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    outputs(model, "folded+fused+channels_last+bfloat16", torch.randn(1, 3, 64, 64))
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) and after[name].dtype == value.dtype for name, value in before.items())
    assert all(value.is_contiguous() for value in after.values())


def test_a_variant_is_what_it_says() -> None:
    model = model_of("mobilenet_v3_reference")
    runner = Runner(model, parse_variant("folded+fused+channels_last+bfloat16"), CPU, body=None)
    network = runner._network
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert sum(parameter.numel() for parameter in network.regressor.parameters()) == 157_157  # type: ignore[union-attr]
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}
    image = runner.prepare(torch.rand(2, 3, 64, 64))
    assert image.dtype == torch.bfloat16
    assert image.is_contiguous(memory_format=torch.channels_last)


def test_mesh_runs_the_body_on_what_the_network_says() -> None:
    model, seen = model_of("squeezenet1_1"), []

    def body(rotations: torch.Tensor, betas: torch.Tensor) -> None:
        seen.append((tuple(rotations.shape), tuple(betas.shape)))

    images = torch.rand(2, 3, 64, 64)
    for variant in ("mesh", "folded+mesh", "eager"):
        Runner(model, parse_variant(variant), CPU, body)(images)
    assert seen == [((2, 24, 3, 3), (2, 10))] * 2


@pytest.mark.parametrize(
    ("text", "says"),
    [("eagre", "eager"), ("folded+fusd", "fused"), ("eager+folded", "eager"), ("float16+bfloat16", "two precisions")],
)
def test_an_unknown_variant_is_named(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        parse_variant(text)
