"""A network cut from a supernet is the ordinary one, and what networks have in common is the same weights."""

from __future__ import annotations

import random

import pytest
import torch
from support.spaces import SMALL, SPACES, draw_values, packaged

from hmr_light.backbones.blocks import initialize
from hmr_light.model.hmr import build_model
from hmr_light.search.reading import read_space
from hmr_light.search.shared_weights import Supernet

PACKAGED = [pytest.param(name, marks=[pytest.mark.slow] * (name != "tiny")) for name in SPACES]
"""Their supernets take seconds to draw."""


@pytest.mark.parametrize("name", ["small", *PACKAGED])
def test_a_network_of_any_space_computes_what_the_ordinary_one_does(name: str) -> None:
    space = read_space(SMALL) if name == "small" else packaged(name)
    supernet = Supernet(space, seed=random.randrange(1000)).train()
    for _ in range(5):
        supernet.values = draw_values(space)
        images = torch.randn(3, 3, *[random.choice(space.image_sizes)] * 2)
        ordinary = supernet.network(supernet.values).train()
        for one, other in zip(supernet(images), ordinary(images), strict=True):
            assert torch.equal(one, other)


def test_a_step_changes_the_weights_of_its_network_and_no_others() -> None:
    space = read_space(SMALL)
    supernet = Supernet(space, seed=0).train()
    supernet.values = draw_values(space)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    optimizer = torch.optim.SGD(supernet.parameters(), lr=1.0)
    sum(one.square().sum() for one in supernet(torch.randn(4, 3, 64, 64))).backward()
    optimizer.step()
    changed = sum(int((value != before[name]).sum()) for name, value in supernet.state_dict().items())
    own = sum(parameter.numel() for parameter in supernet.network(supernet.values).parameters())
    assert 0 < changed <= own


def test_a_narrow_network_has_the_first_maps_of_a_wide_one() -> None:
    space = read_space(SMALL)
    supernet = Supernet(space, seed=0)
    values = draw_values(space)
    narrow = supernet.network({**values, "stem.out": 8, "stage0.out": 16, "stage0.repeat": 1})
    wide = supernet.network({**values, "stem.out": 12, "stage0.out": 24, "stage0.repeat": 1})
    first, second = (net.backbone.trunk.stage0.state_dict() for net in (narrow, wide))
    weight = next(name for name, value in first.items() if value.ndim == 4)
    assert first[weight].shape[:2] == (16, 8)
    assert torch.equal(first[weight], second[weight][:16, :8])


def test_weights_are_drawn_as_those_of_ordinary_networks_are() -> None:
    space = packaged("tiny")
    supernet = Supernet(space, seed=1)
    widest = {name: choices[-1] for name, choices in space.parameters.items()}
    model = supernet.network(widest)
    ordinary = build_model(space.decode(widest).nodes())
    initialize(ordinary.backbone)
    for (name, one), other in zip(model.named_parameters(), ordinary.parameters(), strict=True):
        if one.numel() >= 2000:  # deviations of so many numbers differ by 1 / sqrt(2 N): here 0.016, and six times that
            assert one.std().item() == pytest.approx(other.std().item(), rel=0.15), name
        elif one.ndim == 1 and one.std() == 0:
            assert torch.equal(one, other), name


def test_the_same_seed_draws_the_same_weights() -> None:
    space = read_space(SMALL)
    one, same, other = (Supernet(space, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert any(not torch.equal(value, other[name]) for name, value in one.items())
