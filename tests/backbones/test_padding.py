"""TensorFlow's SAME padding, against its definition in numpy."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.padding import SamePad, pad_same
from hmr_light.cost.layers import trace_layers
from hmr_light.cost.macs import count_macs
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import build_model

MOBILENET = {"name": "mobilenet_v2", "adapter": {"name": "logits"}}


def convolve_same(maps: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's `tf.nn.conv2d(…, padding="SAME")`: maps (C, h, w), weight (O, C, k, k), pixel by pixel.

    From its documentation: ⌈size / stride⌉ outputs; pad_along = max((outputs - 1) * stride + k - size, 0), of which
    pad_along // 2 stands before.
    """
    kernel = weight.shape[2]
    outputs = [-(-size // stride) for size in maps.shape[1:]]
    along = [max((n - 1) * stride + kernel - size, 0) for n, size in zip(outputs, maps.shape[1:], strict=True)]
    padded = np.pad(maps, [(0, 0), *[(total // 2, total - total // 2) for total in along]])
    result = np.empty((len(weight), *outputs))
    for row in range(outputs[0]):
        for column in range(outputs[1]):
            window = padded[:, row * stride : row * stride + kernel, column * stride : column * stride + kernel]
            result[:, row, column] = (weight * window).sum((1, 2, 3))
    return result


@pytest.mark.parametrize("seed", range(12))
def test_a_padded_convolution_is_tensorflows_at_any_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stride = int(rng.integers(2, 4))
    kernel = int(rng.integers(stride, 6))
    maps, weight = rng.normal(size=(2, *rng.integers(1, 14, 2))), rng.normal(size=(3, 2, kernel, kernel))
    network = nn.Sequential(nn.Conv2d(2, 3, kernel, stride, padding=kernel // 2, bias=False)).double()
    network.load_state_dict({"0.weight": torch.from_numpy(weight)})
    pad_same(network)
    with torch.no_grad():
        found = network(torch.from_numpy(maps)[None])[0].numpy()
    np.testing.assert_allclose(found, convolve_same(maps, weight, stride), atol=1e-12, err_msg=f"seed {seed}")


def test_mobilenet_v2_pads_all_its_strided_convolutions_and_nothing_else() -> None:
    network = build_backbone(MOBILENET | {"padding": "same"})
    layers = list(network.modules())
    padded = [layers[index + 1] for index, layer in enumerate(layers) if isinstance(layer, SamePad)]
    strided = [layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2)]
    assert padded == strided
    assert len(padded) == 5
    assert all(layer.padding == (0, 0) for layer in padded if isinstance(layer, nn.Conv2d))


@pytest.mark.parametrize(("size", "same"), [((65, 97), True), ((64, 96), False)])
def test_the_weights_keep_their_names_and_only_even_sizes_differ(size: tuple[int, int], same: bool) -> None:
    """Odd maps stay odd down to 32 pixels' stride at 65 = 2 · 32 + 1, and for these both paddings are one."""
    torch.manual_seed(0)
    plain = build_backbone(MOBILENET).eval()
    padded = build_backbone(MOBILENET | {"padding": "same"}).eval()
    padded.load_state_dict(plain.state_dict())
    image = torch.rand(1, 3, *size)
    with torch.no_grad():
        expected, found = plain(image), padded(image)
    assert found.shape == expected.shape
    assert torch.equal(found, expected) == same


@pytest.mark.parametrize("size", [64, 70, 97])
def test_costs_are_those_of_the_convolutions(size: int) -> None:
    regressor = {"name": "linear"}
    plain, padded = (
        build_model({"backbone": MOBILENET | {"padding": padding}, "regressor": regressor})
        for padding in ("torch", "same")
    )
    assert count_macs(padded, size) == count_macs(plain, size)
    layers = trace_layers(padded.backbone, size)
    pads = [layer for layer in layers if layer.type == "SamePad"]
    assert [(layer.kind, layer.parameters, layer.macs) for layer in pads] == [("other", 0, 0)] * 5
    others, of_plain = [layer for layer in layers if layer.type != "SamePad"], trace_layers(plain.backbone, size)
    assert [layer._replace(accesses=0) for layer in others] == [layer._replace(accesses=0) for layer in of_plain]
    # A convolution reads the border that was added, too.
    sizes = [3 * size * size, *(math.prod(layer.output_shapes[0]) for layer in layers)]
    border = sum(sizes[at + 1] - sizes[at] for at, layer in enumerate(layers) if layer.type == "SamePad")
    assert sum(layer.accesses for layer in others) == sum(layer.accesses for layer in of_plain) + border


@torch.no_grad()
def test_a_padded_network_is_fused_and_takes_any_size_after() -> None:
    torch.manual_seed(0)
    network = build_backbone(MOBILENET | {"padding": "same"}).double().eval()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(norm.running_var, 0.5, 2)  # type: ignore[arg-type]
    fused = fuse_conv_bn(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    for size in ((64, 64), (65, 70), (33, 48)):
        image = torch.rand(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(fused(image), network(image), rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_a_padded_network_is_exported_with_padding_as_a_constant() -> None:
    network = build_backbone(MOBILENET | {"padding": "same"}).eval()
    image = torch.rand(1, 3, 64, 64)
    exported = torch.export.export(copy.deepcopy(network), (image,))
    torch.testing.assert_close(exported.module()(image), network(image))
    pads = [node.args[1] for node in exported.graph.nodes if "pad" in str(node.target)]
    assert pads == [[0, 1, 0, 1]] * 5


def test_what_cannot_be_padded_is_refused() -> None:
    import torchvision

    resnet = torchvision.models.resnet18()
    with pytest.raises(ValueError, match=r"ResNet.conv1 stands in no nn.Sequential"):
        pad_same(resnet)
    with pytest.raises(ValueError, match="cannot be padded"):
        pad_same(nn.Sequential(nn.Conv2d(3, 3, (3, 5), 2)))
