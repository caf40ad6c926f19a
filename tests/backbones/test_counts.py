"""Parameters, multiply-accumulates (MACs) and sizes that papers and the reference tables print, to the digit.

MACs: convolutions and linear layers, one each, without biases, normalisation, activations and pooling.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from hmr_light.backbones import build_backbone
from hmr_light.backbones.mobilenet_v1 import depthwise_separable, full_convolution
from hmr_light.backbones.thundernet import ContextEnhancement, SpatialAttention

LOGITS = {"name": "logits"}


def classifier(name: str, **options: Any) -> nn.Module:
    return build_backbone({"name": name, "adapter": LOGITS, **options})


def parameters(module: nn.Module, *without: type[nn.Module]) -> int:
    return sum(
        value.numel()
        for layer in module.modules()
        if not isinstance(layer, without)
        for value in layer.parameters(recurse=False)
    )


def outputs(module: nn.Module, *shapes: tuple[int, ...]) -> list[tuple[nn.Module, int]]:
    """Every call of every module within, with the number of elements that it gave; nothing is computed."""
    calls: list[tuple[nn.Module, int]] = []
    for layer in module.modules():
        if layer is not module:
            layer.register_forward_hook(lambda layer, _, output: calls.append((layer, output.numel())))
    with torch.no_grad():
        module.eval().to("meta")(*(torch.empty(shape, device="meta") for shape in shapes))
    return calls


def macs(module: nn.Module, *shapes: tuple[int, ...]) -> list[tuple[nn.Module, int]]:
    """Each convolution and linear layer with its MACs: each output element takes one row of the weight."""
    return [
        (layer, number * layer.weight[0].numel())
        for layer, number in outputs(module, *shapes)
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]


def total_macs(module: nn.Module, size: int = 224) -> int:
    return sum(number for _, number in macs(module, (1, 3, size, size)))


# name, options, parameters of the whole classifier, MACs at 224×224
CLASSIFIERS: list[tuple[str, dict[str, Any], int, int]] = [
    ("resnet50", {}, 25_557_032, 4_089_184_256),
    ("densenet121", {}, 7_978_856, 2_834_161_664),
    ("densenet169", {}, 14_149_480, 3_359_843_328),
    ("densenet201", {}, 20_013_928, 4_291_365_888),
    ("squeezenet1_0", {}, 1_248_424, 818_924_576),
    ("squeezenet", {}, 1_248_424, 818_924_576),
    ("squeezenet", {"bypass": "simple"}, 1_248_424, 818_924_576),
    ("squeezenet_2", {}, 2_210_296, 1_512_461_344),
    ("mobilenet_v1", {}, 4_231_976, 568_740_352),
    ("mobilenet_v1", {"width": 0.75}, 2_585_560, 325_400_448),
    ("mobilenet_v1", {"width": 0.5}, 1_331_592, 149_497_088),
    ("mobilenet_v1", {"width": 0.25}, 470_072, 41_030_272),
    ("mobilenet_v1", {"form": "full"}, 29_294_088, 4_867_293_184),
    ("mobilenet_v1", {"form": "shallow"}, 2_887_976, 307_323_392),
    ("mobilenet_v2", {}, 3_504_872, 300_774_272),
    ("mobilenet_v2", {"layout": "reference"}, 3_504_872, 300_774_272),
    ("mobilenet_v2", {"width": 1.4}, 6_108_776, 582_195_824),
    ("mobilenet_v3_reference", {}, 2_938_368, 60_119_520),
    ("mobilenet_v3_small", {}, 2_542_856, 56_510_400),
    ("mobilenet_v3_large", {}, 5_483_032, 216_589_760),
    ("shufflenet_v1", {"bias": True}, 1_877_920, 137_460_672),
    ("shufflenet_v1", {"groups": 1}, 1_531_936, 143_078_976),
    ("shufflenet_v1", {"groups": 2}, 1_733_848, 140_836_512),
    ("shufflenet_v1", {"groups": 3}, 1_865_728, 137_460_672),
    ("shufflenet_v1", {"groups": 4}, 1_968_344, 134_339_776),
    ("shufflenet_v1", {"groups": 8}, 2_434_768, 138_365_952),
    ("shufflenet_v1", {"scale": 0.5}, 718_324, 37_589_856),
    ("shufflenet_v1", {"scale": 1.5}, 3_442_168, 292_443_552),
    ("shufflenet_v1", {"scale": 2.0}, 5_450_776, 524_045_184),
    ("shufflenet_v2_x1_0", {}, 2_278_604, 144_907_992),
    ("shufflenet_residual", {}, 2_278_604, 144_907_992),
    ("snet49", {}, 875_548, 51_205_832),
    ("snet146", {}, 1_572_748, 161_137_848),
    ("snet535", {}, 4_535_144, 535_354_640),
]


@pytest.mark.parametrize(("name", "options", "expected_parameters", "expected_macs"), CLASSIFIERS)
def test_a_classifier_has_its_exact_counts(
    name: str, options: dict[str, Any], expected_parameters: int, expected_macs: int
) -> None:
    model = classifier(name, **options)
    assert (parameters(model), total_macs(model)) == (expected_parameters, expected_macs)


@pytest.mark.parametrize(
    ("width", "size", "expected"),
    [(1.0, 192, 418_121_728), (1.0, 160, 290_675_200), (1.0, 128, 186_400_768), (0.5, 160, 76_524_800)],
)
def test_mobilenet_v1s_resolution_multiplier_is_the_image_size(width: float, size: int, expected: int) -> None:
    assert total_macs(classifier("mobilenet_v1", width=width), size) == expected


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mobilenet_v1", {}, 4_210_088),
        ("mobilenet_v1", {"width": 0.75}, 2_569_144),
        ("mobilenet_v1", {"width": 0.5}, 1_320_648),
        ("mobilenet_v1", {"width": 0.25}, 464_600),
        ("mobilenet_v2", {}, 3_470_760),
        ("mobilenet_v2", {"width": 1.4}, 6_060_840),
    ],
)
def test_parameters_without_normalisation(name: str, options: dict[str, Any], expected: int) -> None:
    # As MobileNet's papers count them: "1.32 million", "3.47 M".
    assert parameters(classifier(name, **options), nn.BatchNorm2d) == expected


def test_conv_mobilenets_4866_millions_are_without_the_classifier() -> None:
    model = classifier("mobilenet_v1", form="full")
    assert total_macs(model) - 1024 * 1000 == 4_866_269_184


def layer_type(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return "fc"
    assert isinstance(layer, nn.Conv2d)
    if layer.groups > 1:
        return "depthwise"
    return "conv1x1" if layer.kernel_size == (1, 1) else "conv3x3"


def test_mobilenet_v1s_shares_by_layer_type() -> None:
    # Its table 2, whose 1.19 % of conv3x3's multiply-adds is a misprint of 1.91; parameters are weights alone.
    model = classifier("mobilenet_v1")
    weights: Counter[str] = Counter()
    operations: Counter[str] = Counter()
    for layer, number in macs(model, (1, 3, 224, 224)):
        operations[layer_type(layer)] += number
        weights[layer_type(layer)] += layer.weight.numel()  # type: ignore[union-attr, operator]
    assert weights.total() == 4_209_088
    assert {name: round(100 * number / operations.total(), 3) for name, number in operations.items()} == {
        "conv3x3": 1.906, "depthwise": 3.057, "conv1x1": 94.857, "fc": 0.18
    }  # fmt: skip
    assert {name: round(100 * number / weights.total(), 3) for name, number in weights.items()} == {
        "conv3x3": 0.021, "depthwise": 1.061, "conv1x1": 74.591, "fc": 24.328
    }  # fmt: skip


@pytest.mark.parametrize(
    ("make", "width", "size", "expected"),
    [
        (full_convolution, 512, 14, (462_422_016, 2_359_296)),
        (depthwise_separable, 512, 14, (52_283_392, 266_752)),
        (depthwise_separable, 384, 14, (29_578_752, 150_912)),
        (depthwise_separable, 384, 10, (15_091_200, 150_912)),
    ],
)
def test_mobilenet_v1s_layer_example(
    make: Callable[[int, int, int], nn.Module], width: int, size: int, expected: tuple[int, int]
) -> None:
    # Its table 3: an inner layer, by steps.
    layer = make(width, width, 1)
    assert (sum(n for _, n in macs(layer, (1, width, size, size))), parameters(layer, nn.BatchNorm2d)) == expected


@pytest.mark.parametrize(
    ("groups", "expected"),
    [(1, 142_502_976), (2, 140_036_512), (3, 136_500_672), (4, 133_251_776), (8, 136_829_952)],
)
def test_shufflenets_complexities_are_of_convolutions_alone(groups: int, expected: int) -> None:
    # Table 1's 143, 140, 137, 133, 137 M.
    counts = macs(classifier("shufflenet_v1", groups=groups), (1, 3, 224, 224))
    assert sum(number for layer, number in counts if isinstance(layer, nn.Conv2d)) == expected


def test_shufflenets_squeeze_and_excitation() -> None:
    # Table 5's 527 M.
    assert total_macs(classifier("shufflenet_v1", scale=2.0, squeeze_excitation=True)) == 526_925_184


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.7, 1.5, 2.0])
def test_shufflenet_can_be_built_at_any_scale(groups: int, scale: float) -> None:
    unscaled = {1: 576, 2: 800, 3: 960, 4: 1088, 8: 1536}[groups]
    trunk = build_backbone({"name": "shufflenet_v1", "groups": groups, "scale": scale})
    assert trunk.num_features == pytest.approx(unscaled * scale, rel=0.06)
    assert total_macs(trunk, 96) > 0


def test_squeezenets_layers() -> None:
    # Table 1's last but one column.
    model = classifier("squeezenet")
    layers = [*model.trunk, *model.adapter]  # type: ignore[misc]
    assert [parameters(layer) for layer in layers if parameters(layer)] == [
        14_208, 11_920, 12_432, 45_344, 49_440, 104_880, 111_024, 188_992, 197_184, 513_000
    ]  # fmt: skip


@pytest.mark.parametrize(("padding", "expected"), [(0, 832_667_936), (1, 861_339_936)])
def test_squeezenets_published_macs_are_of_images_of_227_pixels(padding: int, expected: int) -> None:
    # 861.34 M as released, whose conv10 is padded; 833 M in ShuffleNet's paper.
    model = classifier("squeezenet1_0")
    conv10 = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)][-1]
    conv10.padding = (padding, padding)
    assert total_macs(model, 227) == expected


def test_resnet50s_published_macs_are_of_its_first_version() -> None:
    # 3.87 G: strides in the first 1×1 convolutions, and one for each output of a normalisation.
    model = classifier("resnet50")
    for block in model.modules():
        if hasattr(block, "conv3"):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    normalised = sum(n for layer, n in outputs(model, (1, 3, 224, 224)) if isinstance(layer, nn.BatchNorm2d))
    assert (total_macs(model), normalised) == (3_857_973_248, 10_587_136)


@pytest.mark.parametrize(
    ("name", "features", "expected"), [("squeezenet1_0", 2048, 909_605_920), ("densenet121", 2048, 2_835_234_816)]
)
def test_wider_classifiers(name: str, features: int, expected: int) -> None:
    adapter = {"name": "linear" if name == "densenet121" else "conv", "features": features}
    assert total_macs(build_backbone({"name": name, "adapter": adapter})) == expected


def test_resnet50_pooled() -> None:
    assert total_macs(build_backbone({"name": "resnet50"})) == 4_087_136_256


@pytest.mark.parametrize(
    ("name", "channels", "expected_parameters", "expected_macs"),
    [
        ("snet49", (120, 512), 281_015, 24_429_440),
        ("snet146", (264, 528), 324_135, 38_937_360),
        ("snet535", (496, 992), 608_335, 73_155_040),
    ],
)
def test_thundernets_context_enhancement(
    name: str, channels: tuple[int, int], expected_parameters: int, expected_macs: int
) -> None:
    neck = ContextEnhancement(*channels)
    assert parameters(neck) == expected_parameters
    maps = ((1, channels[0], 20, 20), (1, channels[1], 10, 10))
    assert sum(number for _, number in macs(neck, *maps)) == expected_macs
    with_neck, without = (build_backbone({"name": name, "context_enhancement": enhance}) for enhance in (True, False))
    assert parameters(with_neck) - parameters(without) == expected_parameters


def test_thundernets_spatial_attention() -> None:
    attention = SpatialAttention()
    assert (parameters(attention.person), parameters(attention.weigh)) == (69_847, 63_210)
    assert sum(number for _, number in macs(attention.weigh, (1, 256, 20, 20))) == 25_088_000


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("mobilenet_v1", {}, ("115.43", "16.14", "132.15")),
        ("mobilenet_v2", {"layout": "reference"}, ("157.24", "13.37", "171.19")),
        ("mobilenet_v3_reference", {}, ("40.17", "11.21", "51.95")),
        ("shufflenet_v1", {"bias": True}, ("62.08", "7.16", "69.82")),
        ("shufflenet_v2_x1_0", {}, ("47.94", "8.69", "57.21")),
    ],
)
def test_the_reference_table_of_sizes(name: str, options: dict[str, Any], expected: tuple[str, str, str]) -> None:
    # torchsummary's rule: every module but Sequential and ModuleList is a row; 4 bytes a number, forward and backward.
    model = classifier(name, **options)
    rows = outputs(model, (1, 3, 224, 224))
    elements = sum(number for layer, number in rows if not isinstance(layer, nn.Sequential | nn.ModuleList))
    passes, weights, image = (4 * n / 2**20 for n in (2 * elements, parameters(model), 3 * 224 * 224))
    assert (f"{passes:.2f}", f"{weights:.2f}", f"{passes + weights + image:.2f}") == expected


def test_squeezenext_has_its_papers_size() -> None:
    # 0.72 M parameters and 282 M MACs, of images of 227 pixels.
    model = classifier("squeezenext23")
    assert (parameters(model), total_macs(model, 227)) == (724_056, 281_916_416)


def test_squeezenets_parameters_after_pruning() -> None:
    # Table 1's last column, by the densities beside it; fire8's 33 % is a misprint of 30. Biases are not pruned.
    densities = [
        (1.0,), (1.0, 1.0, 0.33), (1.0, 1.0, 0.33), (1.0, 1.0, 0.33), (1.0, 1.0, 0.33),
        (1.0, 0.5, 0.33), (0.5, 1.0, 0.33), (1.0, 0.5, 0.30), (0.5, 1.0, 0.30), (0.2,),
    ]  # fmt: skip
    model = classifier("squeezenet")
    layers = [layer for layer in (*model.trunk, *model.adapter) if parameters(layer)]  # type: ignore[misc]
    kept = []
    for layer, shares in zip(layers, densities, strict=True):
        convolutions = [inner for inner in layer.modules() if isinstance(inner, nn.Conv2d)]
        weights = sum(c.weight.numel() * round(100 * d) for c, d in zip(convolutions, shares, strict=True))
        kept.append(-(-weights // 100) + sum(c.bias.numel() for c in convolutions if c.bias is not None))
    assert kept == [14_208, 5_746, 6_258, 20_646, 24_742, 44_700, 46_236, 77_581, 77_581, 103_400]
    assert sum(kept) == 421_098
