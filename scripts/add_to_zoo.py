"""Make a trained model one that comes with the package: `python scripts/add_to_zoo.py CHECKPOINT NAME`.

The regressor is folded, the weights become float16, and the paths of the machine that trained it are left out of its
configuration. The result, src/hmr_light/zoo/NAME.pt, is an ordinary checkpoint. Of a model whose weights are shared, it
is NAME.hmrz, as `scripts/write_hmrz.py --slim` writes it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from hmr_light.checkpoints.format import save_model
from hmr_light.checkpoints.hmrz import write_hmrz
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.checkpoints.models import ZOO
from hmr_light.checkpoints.slim import slim_state
from hmr_light.checkpoints.transforms import apply_transforms


def main() -> None:
    """Read, fold, round, write, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name")
    options = parser.parse_args()
    checkpoint = load_checkpoint(options.checkpoint)
    if any(change["name"] == "share" for change in checkpoint.transforms):
        path = ZOO / f"{options.name}.hmrz"
        slim = replace(checkpoint, config=without_paths(checkpoint.config), state=slim_state(checkpoint.build()))
        print(f"{path}: {write_hmrz(path, slim):,} bytes")
        return
    model = checkpoint.build()
    if not any(change["name"] == "fold" for change in checkpoint.transforms):
        model = apply_transforms(model, [{"name": "fold", "options": {}}])
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            tensor.data = tensor.data.half()
            assert tensor.isfinite().all()
    path = ZOO / f"{options.name}.pt"
    save_model(path, model, without_paths(checkpoint.config), checkpoint.epoch, checkpoint.metrics)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{path}: {count:,} parameters, {path.stat().st_size:,} bytes")


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without what is of one machine: its files' places, and where its runs are tracked."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: stripped(one) for key, one in value.items()}
        if isinstance(value, list):
            return [stripped(one) for one in value]
        return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value

    return stripped({key: value for key, value in config.items() if key not in ("outputs", "resume", "tracking")})


if __name__ == "__main__":
    main()
