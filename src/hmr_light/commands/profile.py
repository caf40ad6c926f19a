"""`hmr-light profile`: backbones as their config files have them, or checkpoints → parameters, MACs, memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.config.choices import choices, compose_choices, suggest
from hmr_light.config.schema import ProfileConfig
from hmr_light.cost.layers import Layer, trace_layers
from hmr_light.cost.parameters import count_effective
from hmr_light.cost.profile import profile, shares
from hmr_light.cost.shapes import only_shapes, shapes_of
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model, check_image_size
from hmr_light.model.sharing import with_own_weights
from hmr_light.reports.tabular import Column, Columns, Record, deliver, tabulate


def _mib(value: float) -> str:
    return f"{value:.2f}"


def _count(value: int) -> str:
    return f"{value:,}"


def _shapes(layer: Layer) -> str:
    return " ".join("x".join(map(str, shape)) for shape in layer.output_shapes)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


MODEL = {"model": Column("Model")}
# The first six are the reference headers; what is not named a backbone's is of backbone and regressor together.
OF_MODELS: Columns = MODEL | {
    "parameters_backbone": Column("# Parameters", _count),
    "input_mib": Column("Input Size(MB)", _mib),
    "forward_backward_mib": Column("Forward/Backward pass size(MB)", _mib),
    "parameters_mib": Column("Params size(MB)", _mib),
    "total_mib": Column("Estimated Total Size(MB)", _mib),
    "macs_backbone": Column("MACs", _count),
    "peak_activation_mib": Column("Peak activations(MB)", _mib),
    "parameters_regressor": Column("# Regressor", _count),
    "parameters": Column("# With regressor", _count),
    "parameters_folded": Column("# Folded", _count),
    "macs": Column("MACs with regressor", _count),
    "disk_mib": Column("On disk(MB)", _mib),
    "memory_access_mib": Column("Memory access(MB)", _mib),
    "gradients_mib": Column("Gradients(MB)", _mib),
}
OF_LAYER_TYPES: Columns = MODEL | {
    "kind": Column("Layer type"),
    "layers": Column("Layers"),
    "parameters": Column("# Parameters", _count),
    "parameters_share": Column("Parameters(%)", _percent),
    "weights_share": Column("Conv and fc weights(%)", _percent),
    "macs": Column("MACs", _count),
    "macs_share": Column("MACs(%)", _percent),
}
OF_LAYERS: Columns = MODEL | {
    "name": Column("Layer"),
    "type": Column("Module"),
    "kind": Column("Layer type"),
    "output": Column("Output"),
    "parameters": Column("# Parameters", _count),
    "macs": Column("MACs", _count),
}
OF_CHECKPOINTS: Columns = {
    "parameters_effective": Column("# Effective", _count),
    "image_size": Column("Image size"),
}
COLUMNS = {"model": OF_MODELS, "layer_type": OF_LAYER_TYPES, "layer": OF_LAYERS}


def run(config: ProfileConfig) -> None:
    """Print or write the costs of `config.backbones`, of all if there are none."""
    rows: list[Record] = []
    columns, facts = COLUMNS[config.by], {"image_size": config.image_size, "regressor": config.regressor["name"]}
    if config.checkpoints:
        columns = {**columns, **OF_CHECKPOINTS} if config.by == "model" else columns
        facts = {"image_size": "as trained", "regressor": "its own"}
    for name, model, image_size in _checkpoints(config) if config.checkpoints else _models(config):
        if config.by == "model":
            more = (
                {"image_size": image_size, "parameters_effective": count_effective(model)} if config.checkpoints else {}
            )
            rows.append({"model": name, **profile(model, image_size)._asdict(), **more})
            continue
        layers = trace_layers(model.backbone, image_size)
        if config.by == "layer_type":
            rows += [{"model": name, **share._asdict()} for share in shares(layers)]
        else:
            rows += [{"model": name, "output": _shapes(layer), **layer._asdict()} for layer in layers]
    deliver(tabulate(rows, columns, facts), config.format, config.out)


def _checkpoints(config: ProfileConfig) -> Iterator[tuple[str, HMR, int]]:
    if config.backbones:
        raise UserError("backbones= and checkpoints= are both given", "Choose one of them.")
    for name in config.checkpoints:
        checkpoint = load_checkpoint(Path(name))
        yield name, with_own_weights(checkpoint.build()), int(checkpoint.config["data"]["image_size"])


def _models(config: ProfileConfig) -> Iterator[tuple[str, HMR, int]]:
    known = choices("backbone")
    for name in config.backbones:
        if name not in known:
            raise UserError(f"backbones={name}: there is no such backbone", suggest("backbone", name))
    names = config.backbones or known
    for name, backbone in zip(names, compose_choices("backbone", names), strict=True):
        try:
            with only_shapes():
                # Which weights they are changes no figure, and they need not be here.
                model = build_model({"backbone": backbone | {"weights": None}, "regressor": config.regressor})
            model = shapes_of(model)
            check_image_size(model, str(backbone["name"]), config.image_size, "image_size")
        except UserError as error:
            if config.backbones:
                raise
            # Of all backbones, those go that need something more: an optional package, or a choice.
            print(f"{name} is left out: {error.message}", file=sys.stderr)
            continue
        if config.backbones or next(model.backbone.parameters(), None) is not None:
            yield name, model, config.image_size
