"""Batch norm into the convolution before it: in evaluation both are one convolution."""

from __future__ import annotations

from typing import cast

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hmr_light.backbones.blocks import channel_shuffle
from hmr_light.errors import UserError


def fuse_conv_bn(network: nn.Module) -> nn.Module:
    """`network`, in evaluation mode, without the batch norms that directly follow a convolution; it keeps its own.

    The result computes the same up to rounding, and shares with `network` the layers that stay as they are. A
    convolution whose result is used elsewhere too, or which runs more than once, keeps its batch norm.
    Raises `UserError` for a network whose graph cannot be traced.
    """
    if network.training:
        raise ValueError("a network in training has no fixed batch statistics to fuse")
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        return network
    try:
        # The shuffle asks how its maps lie in memory, which is not known here: it stays one call.
        tracer = fx.Tracer(autowrap_functions=(channel_shuffle,))
        traced = fx.GraphModule(network, tracer.trace(network))
    except Exception as error:  # whatever the network does with a value that is none
        raise UserError(f"the network cannot be fused: {error}", "Leave the variant fused out.") from error
    modules = dict(traced.named_modules())
    calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    for node in list(traced.graph.nodes):
        source = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(source, fx.Node) or source.op != "call_module" or len(source.users) > 1:
            continue
        conv, norm = modules[str(source.target)], modules[str(node.target)]
        # Subclasses may do more: activate, or pad.
        if type(conv) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d or not norm.track_running_stats:
            continue
        if calls.count(source.target) > 1 or calls.count(node.target) > 1:
            continue
        parent, _, name = str(source.target).rpartition(".")
        fused = fuse_conv_bn_eval(conv, norm)
        # Of a convolution without a bias, PyTorch's would not be trained; but it is the norm's shift.
        shifts = [one for one in (conv.bias, norm.bias) if one is not None]
        cast(nn.Parameter, fused.bias).requires_grad_(any(one.requires_grad for one in shifts))
        setattr(modules[parent], name, fused)
        node.replace_all_uses_with(source)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced
