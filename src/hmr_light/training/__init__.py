"""The training loop and what it stands on: order of samples, processes, checkpoints, validation."""
