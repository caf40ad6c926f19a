"""The cost figures of a row of the table."""

from __future__ import annotations

import torch

from hmr_light.cost.latency import Latency, measure_latency
from hmr_light.cost.macs import count_macs
from hmr_light.cost.parameters import bytes_on_disk, count_effective, count_parameters
from hmr_light.model.hmr import HMR
from hmr_light.model.integers import with_float_weights
from hmr_light.model.sharing import with_own_weights


def cost_metrics(model: HMR, image_size: int, device: torch.device) -> tuple[dict[str, float], Latency]:
    """What `model`, on `device`, costs with images of `image_size` pixels a side: figures by their MLflow names.

    Beside them, the measurement of the times, with its circumstances. Inference time is that of the network alone, from
    one normalised image to SMPL parameters; the body model that makes a mesh of them is the same for every network.
    """
    model = with_float_weights(with_own_weights(model))  # integers are emulated here: their time would say nothing
    parameters, macs = count_parameters(model), count_macs(model, image_size)
    image = torch.rand(1, 3, image_size, image_size, device=device)
    training = model.training
    model.eval()
    latency = measure_latency(lambda: model(image), device=device)
    model.train(training)
    metrics = {
        "parameters": parameters.total,
        "parameters_backbone": parameters.backbone,
        "parameters_regressor": parameters.regressor,
        "parameters_folded": parameters.folded,
        "macs": macs.total,
        "disk_bytes": bytes_on_disk(model),
    }
    if (effective := count_effective(model)) < parameters.total:
        metrics["parameters_effective"] = effective
    return {name: float(value) for name, value in metrics.items()} | latency.figures(), latency
