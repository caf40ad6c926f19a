"""A small network, as training leaves it, in a run's folder, and the file that `hmr-light export` makes of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from hmr_light.checkpoints.format import Checkpoint, save_model
from hmr_light.commands.export import run
from hmr_light.model.hmr import HMR, build_model
from hmr_light.tracking import start_tracking
from support.cli import compose

# The exporter builds its list of operators anew on each call, a fifth of the time of a small network.
_build_registry = ONNXRegistry.from_torchlib
ONNXRegistry.from_torchlib = staticmethod(cache(_build_registry))  # type: ignore[assignment]

SIZE = 64
NODES: dict[str, Any] = {
    "backbone": {"name": "mobilenet_v1", "weights": None, "width": 0.25, "form": "shallow"},
    "regressor": {"name": "spin", "hidden": 24},
}


def trained(model: HMR) -> HMR:
    """`model` with other weights than it begins with: statistics, means, and an output that depends on the image."""
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 2)
                if layer.affine:
                    layer.weight.uniform_(0.5, 1.5)
                    layer.bias.normal_(0, 0.2)
        biases = set(map(id, model.regressor.output_biases()))
        for layer in model.regressor.modules():
            if isinstance(layer, nn.Linear) and id(layer.bias) in biases:
                layer.weight.normal_(0, 0.02)
                layer.bias.normal_(0, 0.02)
    return model.eval()


def shortened(model: HMR) -> HMR:
    """`model`, in place, without most blocks that repeat: of those in a row that keep the shape, the first stays.

    What an exporter has to know of a family is in the others.
    """
    keeps: set[nn.Module] = set()

    def note(layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor) and output.shape == getattr(inputs[0], "shape", None):
            keeps.add(layer)

    layers = list(model.backbone.modules())
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, SIZE, SIZE))
    for hook in hooks:
        hook.remove()
    for row in layers:
        if isinstance(row, nn.Sequential):
            blocks = {name: part for name, part in row.named_children() if _convolutions(part) > 1}
            for name in [name for name, part in blocks.items() if part in keeps][1:]:
                del row._modules[name]
    return model


def _convolutions(part: nn.Module) -> int:
    return sum(isinstance(one, nn.Conv2d) for one in part.modules())


def write_run(run_dir: Path, nodes: dict[str, Any] | None = None) -> Checkpoint:
    """A run with a journal and one checkpoint, which is returned."""
    nodes = nodes or NODES
    config = {**nodes, "data": {"name": "x", "image_size": SIZE}, "body": {"name": "embedded"}, "row": "small"}
    run_dir.mkdir(parents=True)
    with start_tracking(run_dir, experiment="e", uri=None, run_name="small"):
        pass
    path = run_dir / "checkpoints" / "epoch-003.pt"
    return save_model(path, trained(build_model(nodes)), config, 3, {"mpjpe_mm": 123.4567, "loss/total": 1.0})


def export(*options: str) -> Path:
    """What `hmr-light export OPTIONS…` writes, the journal its only record."""
    return run(compose("export", "tracking=journal", "threads=1", *options))
