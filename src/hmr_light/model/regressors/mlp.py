"""The MLP regressor: normalised features, then hidden layers with ReLU and dropout."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import nn

from hmr_light.errors import UserError
from hmr_light.model.integers import Int8Weights
from hmr_light.model.regressors.base import check_dropout, check_widths, regressors
from hmr_light.model.regressors.feedforward import FeedForwardRegressor, fold_norm, output_layer
from hmr_light.model.sharing import SharedWeights


class MlpRegressor(FeedForwardRegressor):
    """Batch norm of the features, dropout, then for each width in `hidden` a linear layer, ReLU and dropout.

    The batch norm learns nothing. It brings features of any scale to mean 0 and deviation 1, so that one learning rate
    suits all of them; `fold` puts it into the first layer.
    """

    def __init__(self, num_features: int, hidden: Sequence[int], dropout: float, input_dropout: float) -> None:
        layers: list[nn.Module] = [nn.BatchNorm1d(num_features, affine=False), nn.Dropout(input_dropout)]
        inputs = num_features
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Dropout(dropout)]
            inputs = width
        super().__init__(nn.Sequential(*layers, output_layer(inputs)))

    def fold(self) -> FeedForwardRegressor:
        """The same function in evaluation without batch norm and dropout: linear layers and ReLU alone.

        Itself where the first layer computes in integers or shares weights.
        """
        assert isinstance(self.correction, nn.Sequential)
        norm = next(iter(self.correction))
        kept = [copy.deepcopy(one) for one in self.correction if not isinstance(one, nn.BatchNorm1d | nn.Dropout)]
        if not isinstance(norm, nn.BatchNorm1d) or isinstance(kept[0], Int8Weights | SharedWeights):
            return self
        fold_norm(norm, kept[0])
        folded = FeedForwardRegressor(nn.Sequential(*kept)).train(self.training)
        for name, value in self.named_buffers(recurse=False):
            setattr(folded, name, value.clone())
        return folded


@regressors.register("mlp")
def mlp(
    num_features: int, *, hidden: Sequence[int] = (1024, 1024), dropout: float = 0.3, input_dropout: float = 0.1
) -> MlpRegressor:
    """Hidden layers with ReLU and dropout, behind a batch norm of the features."""
    for width in hidden:
        if not isinstance(width, int) or isinstance(width, bool):
            raise UserError(f"regressor.hidden={hidden} is not a list of widths", "Give such as [1024, 1024].")
        check_widths(hidden=width)
    check_dropout(dropout)
    check_dropout(input_dropout, "input_dropout")
    return MlpRegressor(num_features, hidden, dropout, input_dropout)
