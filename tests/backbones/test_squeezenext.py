"""SqueezeNext's published counts."""

from __future__ import annotations

from support.backbones import classifier, parameters, total_macs


def test_squeezenext_has_its_papers_size() -> None:
    # 0.72 M parameters and 282 M MACs, of images of 227 pixels.
    model = classifier("squeezenext23")
    assert (parameters(model), total_macs(model, 227)) == (724_056, 281_916_416)
