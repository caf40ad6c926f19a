"""Parameters, multiply-accumulates (MACs) and sizes that papers and the reference tables print, to the digit.

MACs: convolutions and linear layers, one each, without biases, normalisation, activations and pooling.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.backbones import classifier, outputs, parameters, total_macs
from torch import nn

from hmr_light.backbones import build_backbone

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


@pytest.mark.parametrize(
    ("name", "features", "expected"), [("squeezenet1_0", 2048, 909_605_920), ("densenet121", 2048, 2_835_234_816)]
)
def test_wider_classifiers(name: str, features: int, expected: int) -> None:
    adapter = {"name": "linear" if name == "densenet121" else "conv", "features": features}
    assert total_macs(build_backbone({"name": name, "adapter": adapter})) == expected


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
