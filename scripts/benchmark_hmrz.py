"""How large a coded file is, and how fast it is read.

    python scripts/benchmark_hmrz.py [CHECKPOINT …] [--rounds 5]

For each checkpoint (by default `mobile`): the bytes of its `.hmrz` beside those of its weights as float32, and the time
from the file to tensors, one thread, as megabytes of float32 weights a second; the median over the rounds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from hmr_light.checkpoints.hmrz import write_hmrz
from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.checkpoints.models import find_checkpoint


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", default=["mobile"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.checkpoints:
        checkpoint = find_checkpoint(name)
        plain = 4 * sum(value.numel() for key, value in checkpoint.state.items() if not key.endswith(".codebook"))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.hmrz"
            size = write_hmrz(path, checkpoint)
            seconds = []
            for _ in range(arguments.rounds):
                started = time.process_time()
                load_checkpoint(path)
                seconds.append(time.process_time() - started)
        speed = plain / 1e6 / float(np.median(seconds))
        print(
            f"{name}: {size:,} bytes, {plain / size:.2f} times less than {plain:,} of float32; read at {speed:.0f} MB/s"
        )


if __name__ == "__main__":
    main()
