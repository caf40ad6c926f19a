"""Which channels of a network belong together: the network is run on the identities of its channels.

Every value is replaced by an int64 tensor of the same shape that says which channel each number is. Layers make new
identities; element-wise operations unite those that they bring together; what only moves numbers (view, transpose,
chunk, cat, flatten …) is done to the identities as it stands. So a channel shuffle needs no rule, however it is
written, and the network is not traced: its own code runs. A layer that runs several times, as an iterative regressor's,
unites what it sees on each run.

The same run with other widths says where the channels of a narrower network go.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR

_MOVES = {
    "chunk",
    "clone",
    "contiguous",
    "detach",
    "expand",
    "expand_as",
    "flatten",
    "movedim",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "swapaxes",
    "tensor_split",
    "to",
    "transpose",
    "unbind",
    "unflatten",
    "unsqueeze",
    "view",
}
_DEALS = {"chunk", "split", "tensor_split", "unflatten"}
"""Moves that deal channels out to parts of the same size."""
_ELEMENTWISE = {
    "add",
    "celu",
    "clamp",
    "div",
    "dropout",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "mish",
    "mul",
    "relu",
    "relu6",
    "sigmoid",
    "silu",
    "sub",
    "tanh",
}
_SPATIAL = {
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "amax",
    "avg_pool2d",
    "interpolate",
    "max_pool2d",
    "mean",
    "pad",
    "sum",
}
"""Operations that leave channels apart, and change or remove the two sides of the maps."""

Layer = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d


class Size(NamedTuple):
    """The widths of a layer."""

    inputs: int
    outputs: int
    groups: int = 1


class ChannelGraph:
    """The identities of a network's channels, by layer; those that are one are united."""

    def __init__(self) -> None:
        self.inputs: dict[str, list[int]] = {}
        """By layer, the identity of each input channel; a batch norm has inputs alone."""
        self.outputs: dict[str, list[int]] = {}
        self.sizes: dict[str, Size] = {}
        self.num_features = 0
        self._parents: list[int] = []
        self._fixed: set[int] = set()
        self._bound: list[list[int]] = []

    def find(self, identity: int) -> int:
        """The representative of all identities that are one with `identity`."""
        parents = self._parents
        while parents[identity] != identity:
            parents[identity] = parents[parents[identity]]
            identity = parents[identity]
        return identity

    def fixed(self) -> set[int]:
        """The representatives of channels that have to stay: of the image, the output and unknown functions."""
        return {self.find(one) for one in self._fixed}

    def bound(self) -> list[set[int]]:
        """Sets of representatives of which equal shares have to stay: they are dealt out to parts of one size."""
        return [{self.find(one) for one in several} for several in self._bound]

    def new(self, count: int) -> list[int]:
        start = len(self._parents)
        self._parents.extend(range(start, start + count))
        return list(range(start, start + count))

    def unite(self, one: int, other: int) -> None:
        one, other = self.find(one), self.find(other)
        if one != other:
            self._parents[max(one, other)] = min(one, other)

    def unite_all(self, pairs: torch.Tensor) -> None:
        """Unite the identities of each row of `pairs` (N, 2)."""
        for one, other in torch.unique(pairs, dim=0).tolist():
            self.unite(one, other)

    def fix(self, values: torch.Tensor) -> None:
        self._fixed.update(torch.unique(values).tolist())

    def bind(self, values: torch.Tensor | list[int]) -> None:
        self._bound.append(torch.unique(values).tolist() if isinstance(values, torch.Tensor) else values)


_graph: ContextVar[ChannelGraph] = ContextVar("graph")


class _Identities(torch.Tensor):
    """int64: which channel each number is."""

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = str(getattr(function, "__name__", "")).strip("_").removesuffix("_")
        if name in ("iadd", "imul", "radd", "rmul", "isub", "rsub"):
            name = name[1:]
        with torch._C.DisableTorchFunctionSubclass():
            graph = _graph.get()
            if name in ("fn", "boolean_dispatch"):  # pooling that may give indices, too
                name = "max_pool2d"
            if name in ("cat", "concat", "stack"):
                first, *rest = args
                return _wrapped(function([_identities(one, graph) for one in first], *rest, **kwargs))
            if name in _MOVES or name == "getitem":
                return _moved(function, name, args, kwargs, graph)
            if name in _SPATIAL:
                return _spatial(function, args, kwargs, graph)
            if name in _ELEMENTWISE:
                return _united([*args, *kwargs.values()], graph)
            plain = [_values(one) if isinstance(one, torch.Tensor) else one for one in args]
            result = function(*plain, **kwargs)
            if not isinstance(result, torch.Tensor):
                return result  # a size, or another property
            for one in args:
                if isinstance(one, _Identities):
                    graph.fix(one.as_subclass(torch.Tensor))
            return _identities(result, graph)


def trace_channels(model: HMR, image_size: int, widths: Mapping[str, int] | None = None) -> ChannelGraph:
    """The channels of `model`, which stays as it is, for images of `image_size` pixels a side.

    `widths` gives layers other numbers of outputs; what follows them becomes as wide as what it sees. Raises
    `UserError` where the network cannot be run so: groups do not divide a width, or added values have unlike sizes.
    """
    graph, widths = ChannelGraph(), widths or {}
    shadow = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    for name, layer in shadow.named_modules():
        if isinstance(layer, Layer):
            layer.forward = partial(_layer, graph, name, layer, widths.get(name))  # type: ignore[method-assign]
    image = torch.tensor(graph.new(3)).view(1, 3, 1, 1).expand(1, 3, image_size, image_size)
    graph.fix(image)
    token = _graph.set(graph)
    try:
        with torch.no_grad():
            features = shadow.backbone(_wrapped(image.contiguous()))
            graph.num_features = features.shape[1]
            for values in shadow.regressor.estimate(features):
                if isinstance(values, _Identities):
                    graph.fix(values.as_subclass(torch.Tensor))
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as error:
        raise UserError(
            f"the channels of this network cannot be followed: {(str(error).splitlines() or [''])[0]}",
            "Choose another step.",
        ) from error
    finally:
        _graph.reset(token)
    return graph


def _wrapped(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.as_subclass(_Identities)
    return type(value)(map(_wrapped, value)) if isinstance(value, list | tuple) else value


def _values(tensor: torch.Tensor) -> torch.Tensor:
    """Numbers in the shape of `tensor`, for what is only asked for a shape."""
    return torch.zeros(tensor.shape) if isinstance(tensor, _Identities) else tensor


def _identities(tensor: torch.Tensor, graph: ChannelGraph) -> torch.Tensor:
    """`tensor` as identities; those of numbers that no layer made are new, and have to stay."""
    if isinstance(tensor, _Identities):
        return tensor.as_subclass(torch.Tensor)
    if tensor.dim() < 2:
        made = torch.tensor(graph.new(1)).expand(tensor.shape)
    else:
        shape = [1] * tensor.dim()
        shape[1] = -1
        made = torch.tensor(graph.new(tensor.shape[1])).view(shape).expand(tensor.shape)
    graph.fix(made)
    return _wrapped(made.contiguous())


def _moved(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: dict[str, Any], graph: ChannelGraph
) -> Any:
    plain = args[0].as_subclass(torch.Tensor)
    if name == "to":
        return args[0]
    result = function(plain, *args[1:], **kwargs)
    deals = isinstance(result, torch.Tensor) and result.dim() > plain.dim() and name in ("view", "reshape")
    if name in _DEALS or deals:
        graph.bind(plain)
    if name == "getitem" and isinstance(result, torch.Tensor) and len(torch.unique(result)) < len(torch.unique(plain)):
        graph.fix(plain)  # a part of a width that is written in the code
    return _wrapped(result)


def _spatial(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], graph: ChannelGraph
) -> torch.Tensor:
    identities = args[0].as_subclass(torch.Tensor)
    # A network on the meta device is asked for shapes alone.
    result = function(torch.empty(identities.shape, device="meta"), *args[1:], **kwargs)
    if isinstance(result, tuple):
        result = result[0]
    by_channel = identities.flatten(2)[..., :1] if identities.dim() > 2 else identities[..., None]
    if result.shape[:2] != identities.shape[:2] or not (identities.flatten(2) == by_channel).all():
        graph.fix(identities)
        return _wrapped(_identities(torch.zeros(result.shape), graph))
    shape = [*result.shape[:2], *[1] * (result.dim() - 2)]
    return _wrapped(by_channel.reshape(shape).expand(result.shape).contiguous())


def _united(values: list[Any], graph: ChannelGraph) -> torch.Tensor:
    """What an element-wise operation gives: its arguments' channels are one."""
    tensors = [_identities(one, graph) for one in values if isinstance(one, torch.Tensor) and one.dim()]
    first, *rest = torch.broadcast_tensors(*[one.as_subclass(torch.Tensor) for one in tensors])
    for other in rest:
        differ = first != other
        if differ.any():
            graph.unite_all(torch.stack((first[differ], other[differ]), dim=1))
    return _wrapped(first.contiguous())


def _layer(graph: ChannelGraph, name: str, layer: Any, width: int | None, seen: Any) -> torch.Tensor:
    """The outputs of a layer of the network, which is `width` wide; None: as wide as it is."""
    identities = _identities(seen, graph).as_subclass(torch.Tensor)
    inputs = _channels(identities, graph, last=isinstance(layer, nn.Linear))
    if name in graph.inputs:
        for one, other in zip(graph.inputs[name], inputs, strict=True):
            graph.unite(one, other)
    graph.inputs.setdefault(name, inputs)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        graph.sizes[name] = Size(len(inputs), len(inputs))
        return _wrapped(identities)
    if type(layer.weight) is not nn.Parameter:
        raise ValueError(f"the weights of {name} were changed by an earlier step, before which this one has to stand")
    whole = layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
    groups = 1
    if isinstance(layer, nn.Conv2d) and layer.groups > 1:
        depthwise = layer.groups == layer.in_channels
        groups = len(inputs) if depthwise else layer.groups
        width = len(inputs) * (whole // layer.in_channels) if depthwise else width
    outputs = graph.outputs.setdefault(name, graph.new(width or whole))
    graph.sizes[name] = Size(len(inputs), len(outputs), groups)
    if len(inputs) % groups or len(outputs) % groups:
        raise ValueError(f"{name} has {groups} groups, which do not divide its widths")
    if groups == len(inputs) and groups > 1:
        for position, output in enumerate(outputs):
            graph.unite(inputs[position // (len(outputs) // groups)], output)
    elif groups > 1:
        graph.bind(inputs)
        graph.bind(outputs)
    made = torch.tensor(outputs)
    if isinstance(layer, nn.Linear):
        return _wrapped(made.expand(*identities.shape[:-1], len(outputs)).contiguous())
    return _wrapped(made.view(1, -1, 1, 1).expand(len(identities), -1, *_sides(layer, identities)).contiguous())


def _sides(layer: nn.Conv2d, maps: torch.Tensor) -> list[int]:
    """The height and width of what `layer` makes of `maps`."""
    if type(layer) is not nn.Conv2d and "Same" in type(layer).__name__:  # timm's, padded as in TensorFlow
        return [-(-side // stride) for side, stride in zip(maps.shape[2:], layer.stride, strict=True)]
    options = {"padding": layer.padding, "dilation": layer.dilation, "device": "meta"}
    one = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, **options)  # type: ignore[arg-type]
    return list(one(torch.empty(1, 1, *maps.shape[2:], device="meta")).shape[2:])


def _channels(identities: torch.Tensor, graph: ChannelGraph, *, last: bool) -> list[int]:
    """The identity of each channel; several within one are united."""
    rows = identities.movedim(-1 if last else 1, 0).flatten(1)
    if not (rows == rows[:, :1]).all():
        first = rows[:, :1].expand_as(rows)
        differ = rows != first
        graph.unite_all(torch.stack((first[differ], rows[differ]), dim=1))
    return rows[:, 0].tolist()
