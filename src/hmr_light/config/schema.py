"""What every command accepts, as dataclasses. The reference values stand in `conf/`; here stand types and checks.

Choices whose options differ by name (`backbone`, `regressor`) are mappings here: their builder's signature checks them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from hmr_light.errors import UserError, did_you_mean


def _one_of(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"{key}={value} is not a choice", did_you_mean(value, choices))


def _at_least(key: str, value: float | None, least: float) -> None:
    if value is not None and not value >= least:
        raise UserError(f"{key}={value} is too small", f"Give a number of at least {least:g}.")


def _fraction(key: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{key}={value} is not a fraction", "Give a number between 0 and 1.")


ON_BAD = ("error", "skip")


@dataclass
class BodyConfig:
    """A body model file and the regressors of its extra joints."""

    name: str = MISSING
    path: Path | None = None
    """SMPL-format npz or pkl; null for the embedded body."""
    extra_regressor: Path | None = None
    """`J_regressor_extra.npy` (9, V); null if the body's file holds it."""
    h36m_regressor: Path | None = None
    """`J_regressor_h36m.npy` (17, V); null if the body's file holds it."""

    def files(self) -> dict[str, Path | None]:
        """The files, as `hmr_light.body.load_body` takes them."""
        return {"path": self.path, **self.regressors()}

    def regressors(self) -> dict[str, Path | None]:
        """The files of the joint regressors alone, which are the same for bodies of every gender."""
        return {"extra_regressor": self.extra_regressor, "h36m_regressor": self.h36m_regressor}


@dataclass
class SetConfig:
    """One set of annotated images."""

    annotations: Path = MISSING
    """SPIN npz."""
    images: Path = MISSING
    """The folder that `imgname` is relative to."""
    ratio: float = 1.0
    """Share of the training samples that come from this set, relative to the other sets'."""


@dataclass
class AugmentationConfig:
    """Random changes of a training sample, as SPIN makes them. Zero switches each off."""

    flip_probability: float = MISSING
    rotation_std_degrees: float = MISSING
    """Standard deviation; the draw is cut at twice this."""
    rotation_probability: float = MISSING
    scale_std: float = MISSING
    """Standard deviation of the box's factor; the draw is cut at one."""
    colour_gain: float = MISSING
    """Each channel is multiplied by a draw from 1 ± this."""

    def __post_init__(self) -> None:
        _fraction("data.augmentation.flip_probability", self.flip_probability)
        _fraction("data.augmentation.rotation_probability", self.rotation_probability)
        _at_least("data.augmentation.rotation_std_degrees", self.rotation_std_degrees, 0)
        _fraction("data.augmentation.scale_std", self.scale_std)
        _fraction("data.augmentation.colour_gain", self.colour_gain)


@dataclass
class DataConfig:
    """What is trained on and what is evaluated on."""

    name: str = MISSING
    root: Path | None = None
    """The folder that the sets below lie in, for their paths to refer to."""
    image_size: int = MISSING
    """Side of the network's square input, pixels."""
    workers: int = MISSING
    """Loader processes a training process has; 0 loads in the training process itself."""
    train: dict[str, SetConfig] = field(default_factory=dict)
    evaluation: dict[str, SetConfig] = field(default_factory=dict)
    """By name. The first is the primary one: its figures are the run's headline figures."""
    augmentation: AugmentationConfig = MISSING

    def __post_init__(self) -> None:
        if not 64 <= self.image_size <= 1024:
            raise UserError(f"data.image_size={self.image_size} is out of range", "Give a side of 64 to 1024 pixels.")
        _at_least("data.workers", self.workers, 0)


@dataclass
class OptimizerConfig:
    """How the weights move."""

    name: str = MISSING
    learning_rate: float = MISSING
    backbone_factor: float = MISSING
    """How many times `learning_rate` the backbone's rate is."""
    bias_factor: float = MISSING
    """The same for the biases of the regressor's output."""
    weight_decay: float = MISSING
    schedule: str = MISSING
    """constant, or cosine (down to zero at the last step)."""
    warmup_steps: int = MISSING
    """Steps over which the learning rate rises linearly from zero."""

    def __post_init__(self) -> None:
        _one_of("optimizer.name", self.name, ("adam", "adamw"))
        _one_of("optimizer.schedule", self.schedule, ("constant", "cosine"))
        _at_least("optimizer.learning_rate", self.learning_rate, 0)
        _at_least("optimizer.backbone_factor", self.backbone_factor, 0)
        _at_least("optimizer.bias_factor", self.bias_factor, 0)
        _at_least("optimizer.weight_decay", self.weight_decay, 0)
        _at_least("optimizer.warmup_steps", self.warmup_steps, 0)


@dataclass
class TrainerConfig:
    """How long, where and in which arithmetic."""

    epochs: int = MISSING
    """0 trains nothing: the initial model is evaluated and saved (the mean-pose baseline is made so)."""
    batch_size: int = MISSING
    """Images a step, over all processes together."""
    device: str = MISSING
    """auto, cpu, cuda."""
    threads: int | None = None
    """CPU threads of each training process; null leaves torch's choice."""
    precision: str = MISSING
    """float32, or bfloat16 (autocast)."""
    channels_last: bool = MISSING
    compile: bool = MISSING
    """Compile the network with `torch.compile`."""
    clip_gradient_norm: float | None = None
    ema_decay: float | None = None
    """Decay of the exponential moving average of the weights, which is then what is evaluated; null for none."""
    save_every: int = MISSING
    """Epochs between kept checkpoints (rows of the table); the last epoch is always kept."""
    checkpoint_steps: int | None = None
    """Steps between writes of the full training state within an epoch; null writes it at the end of epochs only."""
    keep: int | None = None
    """Kept checkpoints that stay on disk: the newest so many, and the best and the evaluated ones; null for all."""
    on_bad_sample: str = MISSING
    """skip (another takes its place) or error, for a training sample that cannot be read."""
    on_bad_validation_sample: str = MISSING
    max_bad_fraction: float = MISSING
    """More bad samples than this share of a set stop the run."""
    shuffle_images: bool = False
    """Everybody is trained with another's image: the baseline that can learn from the labels alone."""

    def __post_init__(self) -> None:
        _at_least("trainer.epochs", self.epochs, 0)
        _at_least("trainer.batch_size", self.batch_size, 1)
        _at_least("trainer.threads", self.threads, 1)
        _at_least("trainer.save_every", self.save_every, 1)
        _at_least("trainer.checkpoint_steps", self.checkpoint_steps, 1)
        _at_least("trainer.keep", self.keep, 1)
        _one_of("trainer.on_bad_sample", self.on_bad_sample, ON_BAD)
        _one_of("trainer.on_bad_validation_sample", self.on_bad_validation_sample, ON_BAD)
        _fraction("trainer.max_bad_fraction", self.max_bad_fraction)
        _one_of("trainer.device", self.device, ("auto", "cpu", "cuda"))
        _one_of("trainer.precision", self.precision, ("float32", "bfloat16"))
        if self.ema_decay is not None:
            _fraction("trainer.ema_decay", self.ema_decay)


@dataclass
class TrackingConfig:
    """Where MLflow is told of a run; the journal in the run's folder is written in any case."""

    name: str = MISSING
    uri: str | None = None
    """MLflow tracking URI; null for the journal alone."""
    experiment: str = MISSING
    upload_checkpoints: bool = False
    """Whether each row's checkpoint file is kept among the run's artifacts too."""


@dataclass
class TrainConfig:
    """`hmr-light train`."""

    backbone: dict[str, Any] = MISSING
    regressor: dict[str, Any] = MISSING
    body: BodyConfig = MISSING
    data: DataConfig = MISSING
    protocol: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = MISSING
    tracking: TrackingConfig = MISSING
    row: str | None = None
    """The run's name in the table; null takes the backbone's name."""
    seed: int = 0
    resume: str | None = None
    """null starts anew; auto continues the newest unfinished run of this row; a run's folder continues that run."""
    init: Path | None = None
    """A checkpoint to start from, of hmr_light or of another system; null starts from the backbone's weights."""
    init_allow: list[str] = field(default_factory=list)
    """Names, or patterns, of weights that the checkpoint may lack or have too many of."""
    outputs: Path = MISSING


@dataclass
class BoxesConfig:
    """How `robustness=boxes` changes the boxes, one thing at a time."""

    scales: list[float] = field(default_factory=list)
    """Factors of the side."""
    shifts: list[float] = field(default_factory=list)
    """Shares of the side by which the centre is moved, to the right and down."""

    def __post_init__(self) -> None:
        for scale in self.scales:
            _at_least("boxes.scales", scale, 0.1)
        for shift in self.shifts:
            _fraction("boxes.shifts", abs(shift))


@dataclass
class EvaluateConfig:
    """`hmr-light evaluate`."""

    checkpoint: Path | None = None
    checkpoint_allow: list[str] = field(default_factory=list)
    """Names, or patterns, of weights that another system's checkpoint may lack or have too many of."""
    run: str | None = None
    """MLflow run id, or a run's folder."""
    checkpoints: str = MISSING
    """Which of the run's checkpoints: best, last or all."""
    body: BodyConfig = MISSING
    data: DataConfig = MISSING
    protocol: dict[str, Any] = MISSING
    batch_size: int = MISSING
    device: str = MISSING
    threads: int | None = None
    robustness: str | None = None
    """boxes: the errors again with looser and moved boxes; null for none."""
    boxes: BoxesConfig = field(default_factory=BoxesConfig)
    out: Path | None = None
    """The folder for the robustness files; null for the run's."""
    tracking: TrackingConfig = MISSING

    def __post_init__(self) -> None:
        if self.robustness is not None:
            _one_of("robustness", self.robustness, ("boxes",))
        _one_of("checkpoints", self.checkpoints, ("best", "last", "all"))
        _one_of("device", self.device, ("auto", "cpu", "cuda"))
        _at_least("batch_size", self.batch_size, 1)
        _at_least("threads", self.threads, 1)
        if (self.checkpoint is None) == (self.run is None):
            raise UserError(
                "say what to evaluate: one of checkpoint= and run=",
                "For example: hmr-light evaluate run=outputs/hmr_light/260101-120000-mobilenet_v2",
            )


@dataclass
class PrepareConfig:
    """`hmr-light prepare`."""

    source: dict[str, Any] = MISSING
    body: BodyConfig = MISSING


@dataclass
class TableConfig:
    """`hmr-light table`."""

    format: str = MISSING
    out: Path | None = None
    """The file to write; null prints."""
    language: str = MISSING
    rows: str = MISSING
    evaluated_on: str | None = None
    """The evaluation set of the errors; null: the one that most rows have."""
    group: str | None = None
    """row: runs that differ in their seeds are one row."""
    columns: list[str] = field(default_factory=list)
    """Shown besides the table's own; see `hmr_light.reports.rows.Row`."""
    verify: bool = False
    """Whether each row's checkpoint is evaluated again."""
    tracking: TrackingConfig = MISSING

    def __post_init__(self) -> None:
        _one_of("format", self.format, ("terminal", "markdown", "csv", "json", "latex", "html"))
        if self.group is not None:
            _one_of("group", self.group, ("row",))
        _one_of("language", self.language, ("en", "ko"))
        _one_of("rows", self.rows, ("best", "last", "all"))


@dataclass
class SyncConfig:
    """`hmr-light sync`."""

    run_dir: Path | None = None
    tracking: TrackingConfig = MISSING

    def __post_init__(self) -> None:
        if self.run_dir is None:
            raise UserError(
                "say which run to send: run_dir=", "For example: hmr-light sync run_dir=outputs/hmr_light/…"
            )


@dataclass
class PredictConfig:
    """`hmr-light predict`."""

    checkpoint: Path | None = None
    input: Path | None = None
    boxes: str = MISSING
    """auto, detector, image, or a file."""
    min_score: float = MISSING
    out: Path = MISSING
    meshes: list[str] = field(default_factory=list)
    """Formats: glb, obj."""
    focal: float | None = None
    """Of the images, pixels; null for the diagonal."""
    picture_size: int = MISSING
    every: int = MISSING
    batch_size: int = MISSING
    body: BodyConfig = MISSING
    device: str = MISSING
    threads: int | None = None

    def __post_init__(self) -> None:
        for key, example in (("checkpoint", "outputs/hmr_light/…/epoch-050.pt"), ("input", "photographs")):
            if getattr(self, key) is None:
                raise UserError(f"say which {key}: {key}=", f"For example: hmr-light predict {key}={example}")
        _fraction("min_score", self.min_score)
        for format in self.meshes:
            _one_of("meshes", format, ("glb", "obj"))
        if self.focal is not None and not 1 <= self.focal < float("inf"):
            raise UserError(
                f"focal={self.focal} is not a focal length", "Give pixels, or null for the image's diagonal."
            )
        _at_least("picture_size", self.picture_size, 64)
        _at_least("every", self.every, 1)
        _at_least("batch_size", self.batch_size, 1)
        _one_of("device", self.device, ("auto", "cpu", "cuda"))
        _at_least("threads", self.threads, 1)


@dataclass
class DoctorConfig:
    """`hmr-light doctor`."""

    body: BodyConfig = MISSING
    tracking: TrackingConfig = MISSING


@dataclass
class UiConfig:
    """`hmr-light ui`."""

    port: int = MISSING
    tracking: TrackingConfig = MISSING


@dataclass
class ProfileConfig:
    """`hmr-light profile`."""

    backbones: list[str] = field(default_factory=list)
    """Choices of the group backbone; none for all of them."""
    by: str = MISSING
    image_size: int = MISSING
    regressor: dict[str, Any] = MISSING
    format: str = MISSING
    out: Path | None = None
    """The file to write; null prints."""

    def __post_init__(self) -> None:
        _one_of("by", self.by, ("model", "layer_type", "layer"))
        _one_of("format", self.format, ("terminal", "markdown", "csv", "json"))
        _at_least("image_size", self.image_size, 64)


@dataclass
class BenchmarkConfig:
    """`hmr-light benchmark`."""

    models: list[str] = field(default_factory=list)
    """Choices of the groups backbone and experiment, checkpoint files, run folders. The first is the reference."""
    variants: list[str] = field(default_factory=list)
    """How each model is run; see `hmr_light.cost.variants`."""
    batch_sizes: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    rounds: int = MISSING
    """Times that each model is measured."""
    warmup: int = MISSING
    """Rounds before, which do not count."""
    image_size: int | None = None
    """null: the size that a checkpoint was trained with, 224 for a config."""
    device: str = MISSING
    regressor: dict[str, Any] = MISSING
    body: BodyConfig = MISSING
    tracking: TrackingConfig = MISSING
    log: bool = MISSING
    """Write the figures of checkpoints to their runs."""
    format: str = MISSING
    out: Path | None = None
    """The file to write; null prints."""

    def __post_init__(self) -> None:
        for key in ("models", "variants", "batch_sizes", "threads"):
            if not getattr(self, key):
                raise UserError(f"{key} is empty", f"Name at least one: {key}=[…]; see hmr-light benchmark --help.")
        for key in ("batch_sizes", "threads"):
            for value in getattr(self, key):
                _at_least(key, value, 1)
        _at_least("rounds", self.rounds, 2)
        _at_least("warmup", self.warmup, 0)
        _at_least("image_size", self.image_size, 64)
        _one_of("device", self.device, ("auto", "cpu", "cuda"))
        _one_of("format", self.format, ("terminal", "markdown", "csv", "json"))
