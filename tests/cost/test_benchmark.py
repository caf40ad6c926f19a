"""Networks timed in turns."""

from __future__ import annotations

from support.models import model_of

from hmr_light.cost.benchmark import time_ratio


def test_the_time_of_a_far_smaller_network_is_a_share_of_the_wide_ones() -> None:
    wide = model_of("mobilenet_v1", "light")
    small = model_of("mobilenet_v1", "light", "backbone.width=0.25", "backbone.form=shallow")
    assert 0 < time_ratio(small, wide, 64) < 0.8, "of a thirtieth of the multiply-accumulates"
