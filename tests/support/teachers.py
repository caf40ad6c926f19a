"""Models to learn from."""

from __future__ import annotations

from pathlib import Path

import torch

from hmr_light.checkpoints.format import save_model
from hmr_light.config.strict import plain
from hmr_light.model.hmr import build_model
from support.cli import compose
from support.small_run import options


def write_teacher(path: Path, seed: int) -> Path:
    """A network of another size and width than `support.small_run`'s; its predictions differ from person to person."""
    config = compose(*options(Path("data"), Path("outputs"), "data.image_size=96", "backbone.width=0.5"))
    torch.manual_seed(seed)
    model = build_model({"backbone": config.backbone, "regressor": config.regressor})
    for layer in ("decpose", "decshape", "deccam"):
        torch.nn.init.normal_(getattr(model.regressor, layer).weight, std=0.2)
    save_model(path, model.eval(), plain(config), 1, {})
    return path
