"""MobileNetV2: torchvision's network to the last weight, and the same in two layouts."""

from __future__ import annotations

import pytest
import torch
from support.backbones import LOGITS, randomise
from torchvision.models import mobilenet_v2

from hmr_light.backbones import build_backbone


@pytest.mark.parametrize("width", [0.1, 0.35, 1.0, 1.4])
def test_it_is_torchvisions_network(width: float) -> None:
    seed = int(torch.randint(2**31, ()))
    torch.manual_seed(seed)
    expected = mobilenet_v2(width_mult=width).eval()
    after = torch.rand(3)
    torch.manual_seed(seed)
    network = build_backbone({"name": "mobilenet_v2", "width": width, "adapter": LOGITS}).eval()
    assert torch.equal(torch.rand(3), after), "what is drawn after it would be other numbers"
    names = {name.replace("classifier.1.", "adapter.3.").replace("features.", "trunk."): value
             for name, value in expected.state_dict().items()}  # fmt: skip
    own = network.state_dict()
    assert own.keys() == names.keys()
    assert all(torch.equal(own[name], value) for name, value in names.items()), f"seed {seed}"
    image = torch.rand(1, 3, 70, 64)
    with torch.no_grad():
        assert torch.equal(network(image), expected(image))


def test_the_reference_layout_of_mobilenet_v2_is_the_same_network() -> None:
    plain, reference = (
        build_backbone({"name": "mobilenet_v2", "layout": layout, "adapter": LOGITS}).eval()
        for layout in ("torchvision", "reference")
    )
    randomise(plain)
    for own, other in zip(reference.state_dict().values(), plain.state_dict().values(), strict=True):
        own.copy_(other)
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(reference(image), plain(image))
