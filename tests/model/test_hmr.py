"""The whole network: from pixels to SMPL parameters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hmr_light.errors import UserError
from hmr_light.model.hmr import build_model, check_image_size, normalize
from hmr_light.model.regressors import SmplParameters

CONFIG = {"backbone": {"name": "squeezenet1_1"}, "regressor": {"name": "spin", "hidden": 32}}


def test_gives_one_body_an_image() -> None:
    torch.manual_seed(0)
    model = build_model(CONFIG).eval()
    images = torch.randint(0, 256, (3, 3, 96, 96), dtype=torch.uint8)
    with torch.no_grad():
        found = model(normalize(images))
        alone = model(normalize(images[1:2]))
    assert isinstance(found, SmplParameters)
    assert [tuple(value.shape) for value in found] == [(3, 24, 3, 3), (3, 10), (3, 3)]
    identity = found.rotations @ found.rotations.mT
    torch.testing.assert_close(identity, torch.eye(3).expand_as(identity), atol=1e-5, rtol=0)
    for value, single in zip(found, alone, strict=True):
        torch.testing.assert_close(value[1:2], single, atol=1e-5, rtol=1e-5)


def test_the_baseline_sees_nothing() -> None:
    model = build_model({"backbone": {"name": "blank", "weights": None}, "regressor": {"name": "mean"}})
    first, second = (model(torch.rand(2, 3, 96, 96)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("name", "made_for"), [("vit_tiny_patch16_224", 224), ("levit_128s", 224), ("inception_v3", 299)]
)
def test_images_that_the_backbone_cannot_take_are_refused_with_the_size_to_give(name: str, made_for: int) -> None:
    pytest.importorskip("timm")
    model = build_model({"backbone": {"library": "timm", "name": name}, "regressor": {"name": "linear"}})
    state = {key: value.clone() for key, value in model.state_dict().items()}
    check_image_size(model, name, made_for, "data.image_size")
    with pytest.raises(UserError) as caught:
        check_image_size(model, name, 64, "data.image_size")
    assert f"backbone.name={name} cannot take images of 64 pixels" in caught.value.message
    assert f"data.image_size={made_for}" in caught.value.remedy
    assert model.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_model_that_cannot_learn_from_single_images_is_told_before_it_tries() -> None:
    config = {"backbone": {"name": "squeezenet1_1"}, "regressor": {"name": "mlp", "hidden": [8]}}
    model, draws = build_model(config), torch.get_rng_state()
    check_image_size(model, "squeezenet1_1", 64, "data.image_size", batch=2)
    with pytest.raises(UserError, match=r"trainer.batch_size=1: this model cannot learn from one image a step"):
        check_image_size(model, "squeezenet1_1", 64, "data.image_size", batch=1)
    assert torch.equal(draws, torch.get_rng_state())
    check_image_size(build_model(CONFIG), "squeezenet1_1", 64, "data.image_size", batch=1)
    assert model.training
    assert not model.regressor.correction[0].num_batches_tracked  # type: ignore[union-attr, index, operator]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalize_is_imagenets(seed: int, layout: torch.memory_format) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (2, 3, 5, 7), dtype=np.uint8)
    expected = (pixels / 255 - np.reshape([0.485, 0.456, 0.406], (3, 1, 1))) / np.reshape(
        [0.229, 0.224, 0.225], (3, 1, 1)
    )
    found = normalize(torch.from_numpy(pixels).contiguous(memory_format=layout))
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=layout)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
