"""`hmr-light profile`: each backbone, as its config file has it → parameters, MACs, memory; no run is needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from hmr_light.config.choices import choices, compose_choice, suggest
from hmr_light.config.schema import ProfileConfig
from hmr_light.cost.layers import Layer, trace_layers
from hmr_light.cost.profile import profile, shares
from hmr_light.cost.shapes import only_shapes
from hmr_light.errors import UserError
from hmr_light.model.hmr import HMR, build_model, check_image_size
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
COLUMNS = {"model": OF_MODELS, "layer_type": OF_LAYER_TYPES, "layer": OF_LAYERS}


def run(config: ProfileConfig) -> None:
    """Print or write the costs of `config.backbones`, of all if there are none."""
    rows: list[Record] = []
    for name, model in _models(config):
        if config.by == "model":
            rows.append({"model": name, **profile(model, config.image_size)._asdict()})
            continue
        layers = trace_layers(model.backbone, config.image_size)
        if config.by == "layer_type":
            rows += [{"model": name, **share._asdict()} for share in shares(layers)]
        else:
            rows += [{"model": name, "output": _shapes(layer), **layer._asdict()} for layer in layers]
    facts = {"image_size": config.image_size, "regressor": config.regressor["name"]}
    deliver(tabulate(rows, COLUMNS[config.by], facts), config.format, config.out)


def _models(config: ProfileConfig) -> Iterator[tuple[str, HMR]]:
    known = choices("backbone")
    for name in config.backbones:
        if name not in known:
            raise UserError(f"backbones={name}: there is no such backbone", suggest("backbone", name))
    for name in config.backbones or known:
        # Which weights they are changes no figure, and they need not be here.
        backbone = compose_choice("backbone", name) | {"weights": None}
        try:
            with only_shapes():
                model = build_model({"backbone": backbone, "regressor": config.regressor})
            check_image_size(model, str(backbone["name"]), config.image_size, "image_size")
        except UserError as error:
            if config.backbones:
                raise
            # Of all backbones, those go that need something more: an optional package, or a choice.
            print(f"{name} is left out: {error.message}", file=sys.stderr)
            continue
        if config.backbones or next(model.backbone.parameters(), None) is not None:
            yield name, model
