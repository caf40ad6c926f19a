"""`trainer=`: how long, where and in which arithmetic a run trains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from omegaconf import MISSING

from hmr_light.config.limits import Count, Device, Fraction, OneOf, Range, Threads

OnBadSample = Annotated[str, OneOf("error", "skip")]


@dataclass
class TrainerConfig:
    """How long, where and in which arithmetic."""

    epochs: Annotated[int, Range(0, 10**6)] = MISSING
    """0 trains nothing: the initial model is evaluated and saved (the mean-pose baseline is made so)."""
    batch_size: Annotated[int, Range(1, 10**6)] = MISSING
    """Images in a step, of all processes together."""
    device: Device = MISSING
    """Where the network runs; auto takes a GPU if there is one."""
    threads: Threads | None = None
    """CPU threads of each training process; null: torch's choice."""
    precision: Annotated[str, OneOf("float32", "bfloat16")] = MISSING
    """bfloat16 is autocast: faster on a GPU, slower on most CPUs."""
    channels_last: bool = MISSING
    """Faster convolutions on CPUs and on tensor cores; the results differ only by rounding."""
    compile: bool = MISSING
    """Compile the network with `torch.compile`: minutes at the start, faster steps after."""
    clip_gradient_norm: Annotated[float, Range(0, above=True)] | None = None
    """The gradient's norm is cut at this; null: no clipping."""
    ema_decay: Annotated[float, Range(0, 1, below=True)] | None = None
    """Decay of a moving average of the weights and of batch norms' statistics; the average is then what is evaluated
    and saved. In the first steps it is smaller. null: none."""
    save_every: Count = MISSING
    """Epochs between kept checkpoints (rows of the table); the last epoch is always kept."""
    checkpoint_steps: Count | None = None
    """Steps between writes of the full training state within an epoch; null: at the end of epochs only."""
    keep: Count | None = None
    """How many of the newest checkpoints stay on disk; the best one and the evaluated ones always stay. null: all."""
    on_bad_sample: OnBadSample = MISSING
    """A training sample that cannot be read (a damaged image, a box outside of it): skip puts another sample of its set
    in its place and names it in bad_samples.csv; error stops the run."""
    on_bad_validation_sample: OnBadSample = MISSING
    """The same in validation, where skip leaves the sample out. Then the figures are those of fewer people."""
    max_bad_fraction: Fraction = MISSING
    """The run stops when more than this share of a set cannot be read."""
    freeze_backbone: Annotated[int, Range(0, 10**6)] = 0
    """Epochs, from the first, in which the backbone stays as it starts, batch norms included, and the regressor alone
    learns."""
    feature_views: Annotated[int, Range(0, 10**3)] = 0
    """While the backbone is frozen: its features of so many augmented views of each image are computed once and kept
    in $HMR_LIGHT_HOME/cache/features. 0: every image is read, augmented and seen by the backbone in every epoch."""
    log_every: Count | None = 20
    """Steps between logged losses of single steps (loss_by_step); null: none."""
    evaluate_every: Count = 1
    """Epochs between evaluations. An epoch whose checkpoint is kept is always evaluated."""
    evaluate_start: bool = False
    """Evaluate and keep the model before the first step too, as epoch 0: so a row says what training changed, and a
    start that is better than all that follows stays the run's best."""
    shuffle_images: bool = False
    """Train every person with the image of another person: a baseline that can learn from the labels alone."""
