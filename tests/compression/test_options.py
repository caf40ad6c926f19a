"""Options of single layers: which pattern holds, and what is said of one that fits none."""

from __future__ import annotations

import pytest

from hmr_light.compression.options import check_patterns, check_shares, of_layers, own_value
from hmr_light.errors import UserError


def test_the_last_pattern_that_fits_holds() -> None:
    values = {"trunk.*": 0.5, "trunk.3": 0.1, "head": 0}
    assert [own_value(name, values) for name in ("trunk.2", "trunk.3", "head", "stem")] == [0.5, 0.1, 0, None]
    assert own_value("trunk.3", {"trunk.3": 0.1, "trunk.*": 0.5}) == 0.5


@pytest.mark.parametrize("share", [0, -0.5, 1.001, float("nan"), True, "half", None])
def test_a_share_is_above_zero_and_at_most_one(share: object) -> None:
    check_shares({"keep": 1, **of_layers({"a": 1e-9})})
    with pytest.raises(UserError, match=r"compression\.layers\.a=.* is no share"):
        check_shares(of_layers({"a": share}))


def test_a_pattern_that_fits_no_layer_is_told_with_names_that_there_are() -> None:
    check_patterns(["b*"], ["a", "b1"], "linear layer")
    with pytest.raises(UserError, match="keep_float names c, and no linear layer") as told:
        check_patterns(["b*", "c"], ["a", "b1"], "linear layer", "keep_float")
    assert told.value.remedy == "Such layers are a, b1."
    with pytest.raises(UserError) as told:
        check_patterns(["c"], [], "linear layer")
    assert told.value.remedy == "The model has no linear layer: leave it out."
