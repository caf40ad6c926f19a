"""The features that a regressor sees, brought to one scale where few bits are to hold the weights that read them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from hmr_light.checkpoints.transforms import Transform
from hmr_light.model.hmr import HMR, normalize
from hmr_light.model.regressors.feedforward import FeedForwardRegressor
from hmr_light.training.objectives import Batch


@torch.no_grad()
def normalised(model: HMR, batches: Iterable[Batch]) -> tuple[HMR, list[Transform]]:
    """`model` with a batch norm between backbone and regressor, and the transforms that make it.

    Without it, weights for features that vary little are so large that rounding by one scale loses the others of the
    same output. The norm has the statistics of `batches`, and the weights what leaves the function as it is. A model
    that has one already, or whose regressor is not of one pass, is given back without a transform.
    """
    regressor = model.regressor
    if (
        not isinstance(regressor, FeedForwardRegressor)
        or regressor.norm is not None
        or type(regressor.first) is not nn.Linear
    ):
        return model, []
    features = torch.cat([model.backbone(normalize(batch["image"])).double() for batch in batches])
    change = Transform(name="normalise_features", options={})
    made = HMR(model.backbone, regressor.normalised(features.mean(0), features.var(0, unbiased=False))).eval()
    made.transforms = (*model.transforms, change)
    return made, [change]
