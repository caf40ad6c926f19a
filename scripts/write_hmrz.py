"""Write a trained model as a coded file: `python scripts/write_hmrz.py CHECKPOINT OUT [--slim]`.

Without --slim the file gives back the very same bits. With it, batch norms are merged to a factor and a summand each,
and floating-point numbers become float16: the model is another one by its rounding. Printed is how far its predictions
for images of noise are from those before.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from hmr_light.checkpoints.hmrz import write_hmrz
from hmr_light.checkpoints.models import find_checkpoint, predictor_of
from hmr_light.checkpoints.slim import slim_state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("out", type=Path)
    parser.add_argument("--slim", action="store_true")
    options = parser.parse_args()
    checkpoint = find_checkpoint(options.checkpoint)
    written = replace(checkpoint, state=slim_state(checkpoint.build())) if options.slim else checkpoint
    size = write_hmrz(options.out, written)
    before, after = predictor_of(checkpoint, "cpu"), predictor_of(find_checkpoint(options.out), "cpu")
    images = torch.randint(0, 256, (4, 3, before.image_size, before.image_size), dtype=torch.uint8)
    apart = max(float((one - other).abs().max()) for one, other in zip(before(images), after(images), strict=True))
    print(f"{options.out}: {size:,} bytes; predictions of noise are up to {apart:.2g} apart")


if __name__ == "__main__":
    main()
