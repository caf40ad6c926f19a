"""What a step of distillation costs, as a ratio to a step that learns from labels.

    python scripts/benchmark_distillation.py [--batch 16] [--rounds 15] [--device cpu] [OPTION=VALUE …]

The options are those of `hmr-light train`; by default MobileNetV2 learns from `mobile`, at 192 pixels. In each round
every objective takes one step of the training loop's own (`forward`, backward, optimizer) on one batch that lies ready,
in turns. Printed are the medians over the rounds.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any, cast

import hydra
import numpy as np
import torch
from benchmark_step import made_batch

from hmr_light.body import load_body
from hmr_light.checkpoints.models import find_checkpoint
from hmr_light.config import typed
from hmr_light.config.application import SCHEMAS
from hmr_light.data.distributed import init_distributed
from hmr_light.model.hmr import build_model
from hmr_light.paths import conf_dir
from hmr_light.training.distillation import distillation
from hmr_light.training.loop import forward
from hmr_light.training.objectives import supervised
from hmr_light.training.schedule import build_optimizer

WARMUP = 2
KINDS: dict[str, dict[str, Any]] = {
    "labels": {},
    "teacher's outputs": {"features": 0.0, "labels": 0.0},
    "and its features": {"features": 1.0, "labels": 0.0},
    "and the labels": {"features": 1.0, "labels": 1.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("options", nargs="*")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    overrides = ["backbone=mobilenet_v2", "backbone.weights=null", "data=synthetic", "data.image_size=192"]
    overrides += ["objective=distillation", "distillation.teacher=mobile", "tracking=journal"]
    overrides += [f"trainer.device={arguments.device}", *arguments.options]
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config: Any = typed(SCHEMAS["train"], hydra.compose("train", overrides))
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    with init_distributed(config.trainer.device) as world:
        body = load_body().to(world.device)
        batch = {name: value.to(world.device) for name, value in made_batch(arguments.batch, 192).items()}
        teacher = find_checkpoint(config.distillation["teacher"])
        steps = {}
        for name, changes in KINDS.items():
            model = build_model({"backbone": config.backbone, "regressor": config.regressor}).to(world.device).train()
            if config.trainer.channels_last:
                model.to(memory_format=torch.channels_last)
            learned = replace(config, distillation=config.distillation | changes)
            objective = distillation(learned, model, body, teacher, world) if changes else supervised(config.loss, body)
            optimizer = build_optimizer(config.optimizer, model, objective.adapters)
            network = objective.wrap(model) if objective.wrap else model
            steps[name] = network, objective, cast(torch.optim.Optimizer, optimizer)
        for round_ in range(WARMUP + arguments.rounds):
            for name, (network, objective, optimizer) in steps.items():
                _wait(world.device)
                started = time.perf_counter()
                loss, _, _ = forward(network, objective, batch, config, world)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                _wait(world.device)
                if round_ >= WARMUP:
                    seconds[name].append(time.perf_counter() - started)
        student, size = config.backbone["name"], config.data.image_size
        print(f"{student} learns from {teacher.path.name}: batch {arguments.batch}, {size} px, {world.device}")
        for name, taken in seconds.items():
            ratio = np.median(np.array(taken) / np.array(seconds["labels"]))
            print(f"  {name:18} {1000 * np.median(taken):7.1f} ms a step   ratio {ratio:.2f}")


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
