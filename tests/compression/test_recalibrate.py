"""Batch norms measured anew."""

from __future__ import annotations

import torch
from support.models import model_of
from torch import nn

from hmr_light.compression.recalibrate import recalibrate
from hmr_light.model.hmr import normalize


def batches(count: int = 3) -> list[dict[str, torch.Tensor]]:
    return [{"image": torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)} for _ in range(count)]


def test_statistics_become_those_of_the_images() -> None:
    model = model_of("mobilenet_v1", "mlp", "backbone.width=0.25", "backbone.form=shallow", "regressor.hidden=[16]")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = batches()
    recalibrate(model, images)
    assert not any(layer.training for layer in model.modules())
    first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    norm = next(layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d))
    maps = [first(normalize(batch["image"])) for batch in images]
    torch.testing.assert_close(norm.running_mean, torch.stack([one.mean((0, 2, 3)) for one in maps]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([one.var((0, 2, 3)) for one in maps]).mean(0))
    assert norm.momentum == 0.1
    features = next(layer for layer in model.modules() if isinstance(layer, nn.BatchNorm1d))
    assert features.running_mean.abs().max() > 0, "the regressor's norm of features is measured too"
    for name, value in model.state_dict().items():
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(value, before[name]), name


def test_the_order_of_the_batches_makes_no_difference() -> None:
    model = model_of("shufflenet_v2_x0_5", "linear")
    images = batches()
    recalibrate(model, images)
    first = {name: value.clone() for name, value in model.state_dict().items()}
    recalibrate(model, images[::-1])
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, first[name], rtol=1e-4, atol=1e-5)


def test_without_batch_norms_no_image_is_read() -> None:
    model = model_of("squeezenet1_1", "linear")

    def none() -> None:
        raise AssertionError("an image was read")
        yield

    recalibrate(model, none())  # type: ignore[arg-type]
