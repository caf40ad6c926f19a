"""Every backbone choice in a model of its own: it learns, is evaluated, saved and read again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.backbones import CHOICES, config_of
from torch import nn

from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.model.hmr import HMR, build_model, normalize
from hmr_light.model.regressors import SmplParameters

SIZE = 96


def loss_of(prediction: SmplParameters, labels: SmplParameters) -> torch.Tensor:
    return torch.stack([(own - label).square().mean() for own, label in zip(prediction, labels, strict=True)]).sum()


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice != "blank"])
def test_every_choice_learns_is_evaluated_saved_and_read_again(choice: str, tmp_path: Path) -> None:
    if choice == "timm":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    config = {
        "backbone": config_of(choice),
        "regressor": {"name": "spin", "dropout": 0.0, "hidden": 64},
        "data": {"image_size": 224},
    }
    model = build_model(config).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # so that the loss of two steps can be compared
    images = normalize(torch.randint(0, 256, (4, 3, SIZE, SIZE), dtype=torch.uint8))
    labels = SmplParameters(torch.randn(4, 24, 3, 3), torch.randn(4, 10), torch.randn(4, 3))

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        check_gradients(model)
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        losses.append(loss_of(model(images), labels).item())
    assert losses[2] < losses[0], losses

    save_model(tmp_path / "epoch-001.pt", model, config, 1, {})
    again = load_checkpoint(tmp_path / "epoch-001.pt").build()
    with torch.no_grad():
        expected, found = model.eval()(images), again(images)
    for own, other in zip(expected, found, strict=True):
        assert own.isfinite().all()
        assert torch.equal(own, other)


def check_gradients(model: HMR) -> None:
    """Every parameter has a gradient, and that of every layer of weights is not zero."""
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.dim() == 1 or parameter.grad.any(), name
