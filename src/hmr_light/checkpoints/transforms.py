"""Changes of a model's structure, by name: a checkpoint lists those that were made to its model, with their options.

A transform is a function `structure(model, **options) -> model`. It needs no data: from a model with any weights it
makes one of the new structure, into which the checkpoint's weights fit. Options are plain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import torch

from hmr_light.config.registry import Registry
from hmr_light.errors import UserError, did_you_mean
from hmr_light.model.compact import replace_convolutions
from hmr_light.model.fusion import fuse_conv_bn
from hmr_light.model.hmr import HMR
from hmr_light.model.integers import freeze, to_int8
from hmr_light.model.low_rank import reduce_ranks
from hmr_light.model.pruned import resize
from hmr_light.model.regressors.feedforward import FeedForwardRegressor
from hmr_light.model.sharing import share_weights
from hmr_light.model.sparsity import keep_zeros


class Transform(TypedDict):
    """One change, as a checkpoint lists it."""

    name: str
    options: dict[str, Any]


transforms: Registry[HMR] = Registry("transform")


def apply_transforms(model: HMR, changes: Iterable[Transform]) -> HMR:
    """`model`, in evaluation mode, changed by each of `changes` in turn; `model.transforms` says so.

    Raises `UserError` for an unknown name, and for an option that does not exist or has a value of another type.
    """
    for change in changes:
        before = model.transforms
        model = transforms.build({**change["options"], "name": change["name"]}, model)
        model.transforms = (*before, change)
    return model


def check_transforms(changes: Any) -> tuple[Transform, ...]:
    """`changes`, as a file has them, if they are a list of transforms that are known. Raises `UserError`."""
    if not isinstance(changes, list | tuple):
        raise UserError("its transforms are no list")
    for change in changes:
        if not isinstance(change, dict) or change.keys() != {"name", "options"}:
            raise UserError("its transforms are not of a name and options each")
        name, options = change["name"], change["options"]
        if not isinstance(options, dict) or not all(isinstance(key, str) and is_plain(options[key]) for key in options):
            raise UserError(f"the options of its transform {name!r} are no plain values")
        if name not in transforms.names():
            raise UserError(
                f"its model was changed by the transform {name!r}, which this version of hmr_light does not have",
                f"{did_you_mean(str(name), transforms.names())} A newer hmr_light may know it.",
            )
    return tuple(changes)


def is_plain(value: Any) -> bool:
    """Whether `value` is made of None, bool, int, float, str, and lists and dictionaries of these."""
    if isinstance(value, list):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(one) for key, one in value.items())
    return value is None or isinstance(value, bool | int | float | str)


@transforms.register("fold")
def fold(model: HMR, *, batch_norms: bool = False, regressor: bool = True) -> HMR:
    """The regressor as one affine map, where it is one; with `batch_norms`, these within the convolutions before them.

    The folded model computes the same up to rounding, and cannot be trained as before. `regressor=False` leaves the
    regressor as it is.
    """
    backbone = fuse_conv_bn(model.backbone) if batch_norms else model.backbone
    folded = HMR(backbone, model.regressor.fold() if regressor else model.regressor)
    return folded.eval()


@transforms.register("normalise_features")
def normalise_features(model: HMR) -> HMR:
    """A batch norm before the first layer of a regressor of one pass: see `FeedForwardRegressor.normalised`."""
    if not isinstance(model.regressor, FeedForwardRegressor):
        raise UserError("the transform normalise_features is for regressors of one pass")
    model.regressor = model.regressor.normalised(torch.tensor(0.0), torch.tensor(1.0))
    return model


@transforms.register("sparse")
def sparse(model: HMR, *, layers: Sequence[Any]) -> HMR:
    """Weights of the convolutions and linear layers called `layers` that are zero, and stay so in training."""
    keep_zeros(model, layers)
    return model


@transforms.register("prune")
def prune(model: HMR, *, sizes: Mapping[str, Any], features: int) -> HMR:
    """Layers of other widths, `sizes`: name → [inputs, outputs, groups]; the backbone gives `features` features."""
    resize(model, sizes, features)
    return model


@transforms.register("low_rank")
def low_rank(model: HMR, *, ranks: Mapping[str, Any]) -> HMR:
    """Linear layers and 1×1 convolutions, `ranks`: name → rank, as two layers each."""
    reduce_ranks(model, ranks)
    return model


@transforms.register("compact")
def compact(model: HMR, *, multipliers: Mapping[str, Any], splits: Sequence[Any]) -> HMR:
    """Convolutions as two cheaper ones: see `replace_convolutions`."""
    replace_convolutions(model, multipliers, splits)
    return model


@transforms.register("share")
def share(model: HMR, *, layers: Mapping[str, Any]) -> HMR:
    """Layers whose weights are indices into a codebook of a few values; see `hmr_light.model.sharing`."""
    share_weights(model, layers)
    return model


@transforms.register("int8")
def int8(model: HMR, *, layers: Sequence[Any], frozen: bool) -> HMR:
    """Layers that compute in 8-bit integers; `frozen`: their weights are integers, and nothing is trained."""
    to_int8(model, layers, frozen)
    return model


@transforms.register("freeze_int8")
def freeze_int8(model: HMR) -> HMR:
    """Integers for the weights of all layers that compute with rounded ones."""
    freeze(model)
    return model
