"""The baseline that looks at no image."""

from __future__ import annotations

import pytest
import torch
from support.regressors import random_mean

from hmr_light.model.regressors import SmplParameters, build_regressor


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_regressor_gives_the_mean_for_every_image(seed: int) -> None:
    regressor = build_regressor({"name": "mean"}, 0)
    mean = random_mean(seed)
    regressor.set_mean(*mean)
    found = regressor(torch.empty(5, 0))
    assert isinstance(found, SmplParameters)
    for value, expected in zip(found, mean, strict=True):
        torch.testing.assert_close(value, expected.float().expand(5, *expected.shape))
    assert list(regressor.parameters()) == []
