"""Batch norms measured anew."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from support.models import model_of
from torch import nn

from hmr_light.compression.recalibrate import recalibrate, restate
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
    for name, value in model.state_dict().items():
        if name.startswith("regressor") or ("running" not in name and "num_batches" not in name):
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


def test_a_network_whose_norms_saw_other_images_stays_what_it_is() -> None:
    model = model_of("resnet18", "light").double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.5)
            nn.init.uniform_(layer.running_var, 0.1, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.5)
    images = batches()

    def features(one: nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([one.backbone(normalize(batch["image"]).double()) for batch in images])

    def measured(change: Callable[..., None], one: nn.Module) -> torch.Tensor:
        one.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
        change(one, images)
        return features(one)

    before = features(model)
    other = measured(recalibrate, copy.deepcopy(model))
    torch.testing.assert_close(measured(restate, model), before)
    first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    norm = next(layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d))
    maps = torch.cat([first(normalize(batch["image"]).double()) for batch in images])
    torch.testing.assert_close(norm.running_mean, maps.mean((0, 2, 3)))
    # Statistics of batches are not those of all images; but without `restate` it is another network.
    assert (measured(recalibrate, model) - before).std() < 0.5 * (other - before).std()
