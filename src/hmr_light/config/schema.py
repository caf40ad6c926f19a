"""The root of each command's configuration: its options, their types and limits. The default values stand in `conf/`.

Groups whose options differ from choice to choice (`backbone`, `regressor`, `source`, `loss`, `protocol`) are mappings
here: the signature of the chosen builder is their check, and the comments in their yaml files say what they mean. The
text below every other option is what `--help` says of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from omegaconf import MISSING

from hmr_light.config.groups.body import BodyConfig
from hmr_light.config.groups.data import AugmentationConfig, DataConfig, SetConfig
from hmr_light.config.groups.export import ExportConfig
from hmr_light.config.groups.optimizer import OptimizerConfig
from hmr_light.config.groups.search import SearchConfig
from hmr_light.config.groups.tracking import TrackingConfig
from hmr_light.config.groups.trainer import TrainerConfig
from hmr_light.config.limits import Count, Device, Existing, Fraction, OneOf, Range, Threads
from hmr_light.config.names import Choice, Model, Run, Trained
from hmr_light.errors import UserError
from hmr_light.paths import camera_number

__all__ = [
    "SCHEMAS",
    "AugmentationConfig",
    "BenchmarkConfig",
    "BodyConfig",
    "BoxesConfig",
    "CalibrationConfig",
    "CompressConfig",
    "DataConfig",
    "DoctorConfig",
    "EvaluateConfig",
    "ExportConfig",
    "OptimizerConfig",
    "PredictConfig",
    "PrepareConfig",
    "ProfileConfig",
    "SearchConfig",
    "SetConfig",
    "SyncConfig",
    "TableConfig",
    "TrackingConfig",
    "TrainConfig",
    "TrainerConfig",
    "UiConfig",
]

Objective = Annotated[str, OneOf("supervised", "distillation")]
Seed = Annotated[int, Range(0, 2**63 - 1)]
TableFormat = Annotated[str, OneOf("terminal", "markdown", "csv", "json", "latex", "html")]
RecordFormat = Annotated[str, OneOf("terminal", "markdown", "csv", "json")]
Checkpoint = Annotated[Path, Trained()]


@dataclass
class TrainConfig:
    """`hmr-light train`."""

    backbone: dict[str, Any] = MISSING
    regressor: dict[str, Any] = MISSING
    body: BodyConfig = MISSING
    data: DataConfig = MISSING
    protocol: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    objective: Objective = "supervised"
    """supervised: learn from labels, by `loss`. distillation: learn what another model predicts."""
    distillation: dict[str, Any] = field(default_factory=dict)
    """What is learned of another model, by objective=distillation."""
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = MISSING
    tracking: TrackingConfig = MISSING
    row: str | None = None
    """The run's name in the table; null: the backbone's name."""
    seed: Seed = 0
    """Everything random is a function of the seed, the epoch and the sample."""
    resume: Annotated[str, Run(("auto",))] | None = None
    """null: a new run. auto: continue the newest unfinished run of this row. A run's folder: continue that run."""
    init: Checkpoint | None = None
    """A checkpoint to start from: hmr_light's own (epoch-NNN.pt), a model of the package (mobile), or one of SPIN, HMR,
    CLIFF, BEDLAM, mmhuman3d or 4D-Humans. Backbone, regressor and image size are its own, unless they are chosen
    here."""
    init_allow: list[str] = field(default_factory=list)
    """Weights that `init` may lack or have too many of, by name; names may hold *: [regressor.*] takes the backbone
    alone."""
    outputs: Path = MISSING
    """Runs are written to <outputs>/<tracking.experiment>/<YYMMDD-HHMMSS>-<row>/."""
    compressed: dict[str, Any] | None = None
    """Of a run that `hmr-light compress` made: the checkpoint that it began with (SHA-256) and the step; else null."""
    searched: dict[str, Any] | None = None
    """Of a run that `hmr-light search` made: the study and the number of the trial; else null."""

    def unread(self) -> tuple[str, ...]:
        """A run that is continued reads its own checkpoint and data."""
        return () if self.resume is None else ("data.", "init")

    def __post_init__(self) -> None:
        teacher = self.distillation.get("teacher")
        if isinstance(teacher, Path):  # it refers to `init`
            teacher = self.distillation["teacher"] = str(teacher)
        if self.objective == "supervised" and teacher is not None:
            raise UserError(
                f"distillation.teacher={teacher} is not read: the objective is supervised",
                "Add objective=distillation, or leave the teacher out.",
            )
        if self.objective == "distillation" and teacher is None:
            raise UserError(
                "objective=distillation needs the model to learn from: distillation.teacher=",
                "Name a run, a checkpoint, or a model of the package: distillation.teacher=mobile",
            )
        if self.objective == "supervised":
            self.distillation = {}


@dataclass
class CalibrationConfig:
    """Images of the training set that are looked at without their labels."""

    images: Count = MISSING
    """How many images."""
    batch_size: Annotated[int, Range(2, 10**6)] = MISSING
    """Images that go through the network at once."""
    batch_norms: bool = MISSING
    """Measure the statistics of batch norms anew after each step; without that a compressed model is far worse."""


@dataclass
class CompressConfig:
    """`hmr-light compress`."""

    checkpoint: Annotated[str, Trained()] | None = None
    """The model to compress: an epoch-NNN.pt in the folder checkpoints/ of a run, another system's checkpoint, or the
    name of a model that comes with the package (docs/zoo.md); or give `run`."""
    run: Annotated[str, Run()] | None = None
    """A run: its folder, or its MLflow id. Its best checkpoint is compressed; or give `checkpoint`."""
    compression: dict[str, Any] = MISSING
    """What is done. `compression.steps=[…]` does several things one after the other."""
    calibration: CalibrationConfig = MISSING
    body: BodyConfig = MISSING
    data: DataConfig = MISSING
    """The sets to calibrate, fine-tune and evaluate with. For a run: its own, unless `data=` is given."""
    protocol: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    """The losses of fine-tuning. For a run: its own, unless `loss=` is given."""
    objective: Objective = "supervised"
    """What fine-tuning learns. supervised: labels, by `loss`. distillation: what another model predicts."""
    distillation: dict[str, Any] = field(default_factory=dict)
    """What is learned of another model, by objective=distillation. Its teacher is the model to compress, unless
    `distillation.teacher=` is given."""
    optimizer: OptimizerConfig = MISSING
    trainer: TrainerConfig = MISSING
    """Fine-tuning after each step: `trainer.epochs=0` has none."""
    tracking: TrackingConfig = MISSING
    row: str | None = None
    """The name in the table of what the last step makes; null: the parent's, with the names of the steps."""
    seed: Seed = 0
    """Everything random is a function of the seed."""
    resume: Annotated[str, OneOf("auto")] | None = None
    """null: new runs. auto: the runs of the same command that are finished are taken as they are, and the one that is
    not goes on."""
    outputs: Path = MISSING
    """Runs are written to <outputs>/<tracking.experiment>/<YYMMDD-HHMMSS>-<row>/."""

    def __post_init__(self) -> None:
        if (self.checkpoint is None) == (self.run is None):
            raise UserError(
                "say what to compress: one of checkpoint= and run=",
                "For example: hmr-light compress checkpoint=mobile compression=prune",
            )


@dataclass
class BoxesConfig:
    """How `robustness=boxes` changes the boxes, one thing at a time."""

    scales: list[Annotated[float, Range(0.1, 100)]] = field(default_factory=list)
    """Factors of the box's side."""
    shifts: list[Annotated[float, Range(-1, 1)]] = field(default_factory=list)
    """Shares of the side by which the centre is moved, to the right and then down (negative: left, up)."""


@dataclass
class EvaluateConfig:
    """`hmr-light evaluate`."""

    checkpoint: Checkpoint | None = None
    """A checkpoint file, of hmr_light or of another system, an exported file (FILE.onnx, FILE.xml, FILE.pte), or a
    model of the package (mobile); or give `run`."""
    run: Annotated[str, Run()] | None = None
    """A run: its folder, or its MLflow id; or give `checkpoint`."""
    checkpoint_allow: list[str] = field(default_factory=list)
    """Weights that another system's checkpoint may lack or have too many of, by name; names may hold *."""
    checkpoints: Annotated[str, OneOf("best", "last", "all")] = MISSING
    """Which checkpoints of the run."""
    body: BodyConfig = MISSING
    data: DataConfig = MISSING
    """The sets to evaluate on. For a run: its own, unless `data=` is given."""
    protocol: dict[str, Any] = MISSING
    batch_size: Annotated[int, Range(1, 10**6)] | None = None
    """Images that go through the network at once; null: 8 on a CPU, 64 on a GPU."""
    device: Device = MISSING
    """Where the network runs; auto takes a GPU if there is one."""
    threads: Threads | None = None
    """CPU threads; null: torch's choice."""
    robustness: Annotated[str, OneOf("boxes")] | None = None
    """boxes: measure again with every box made larger, and moved; a table, and a CSV file and a picture in `out`."""
    boxes: BoxesConfig = field(default_factory=BoxesConfig)
    out: Path | None = None
    """The folder for these files; null: the run's folder, or the checkpoint's where it has no run."""
    tracking: TrackingConfig = MISSING

    def unread(self) -> tuple[str, ...]:
        """Nothing is trained."""
        return ("data.train.",)

    def __post_init__(self) -> None:
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

    format: TableFormat = MISSING
    """The table's format; terminal: a table for the eye, or markdown where the output goes to a pipe or a file."""
    out: Path | None = None
    """The file to write; null: print."""
    language: Annotated[str, OneOf("en", "ko")] = MISSING
    """The language of headers and notes."""
    rows: Annotated[str, OneOf("best", "last", "all")] = MISSING
    """Which checkpoints of each run."""
    evaluated_on: str | None = None
    """The evaluation set whose errors are shown, for example synthetic_test_ood; null: the one that most rows were
    scored on, of several the latest."""
    group: Annotated[str, OneOf("row")] | None = None
    """null: a row for each run. row: runs of one model that differ only in their seeds become one row, mean ± standard
    deviation."""
    columns: list[str] = field(default_factory=list)
    """More columns: any field or figure of a row, for example [pve_mm,pck,auc,seed,git_commit]; csv and json have all
    of them in any case."""
    sort: str | None = None
    """The column to sort by, for example mpjpe_mm, or -parameters from the greatest down; null: grouped by model."""
    lineage: bool = False
    """Another table: each model beside the one that it was made from, with what it lost and what it costs."""
    pareto: Path | None = None
    """A file, for a picture of errors against bytes, multiply-accumulates and time: it is written as .png and .svg."""
    verify: bool = False
    """Evaluate the checkpoint of each row again, after a check of its hash, and say whether the figures hold."""
    tracking: TrackingConfig = MISSING


@dataclass
class SyncConfig:
    """`hmr-light sync`."""

    run_dir: Annotated[Path, Existing("run folder")] | None = None
    """A run's folder, or a folder of runs' folders."""
    tracking: TrackingConfig = MISSING

    def __post_init__(self) -> None:
        if self.run_dir is None:
            raise UserError("say which run to send: run_dir=", "For example: hmr-light sync run_dir=outputs/hmr_light")


_INPUT = "Correct the path; a camera is input=camera, the second one camera:1."


@dataclass
class PredictConfig:
    """`hmr-light predict`."""

    checkpoint: Checkpoint | None = None
    """A checkpoint: an epoch-NNN.pt in the folder checkpoints/ of a run, another system's, or an exported file
    (FILE.onnx, FILE.xml); or give `run`. null, as `run` is: the model `mobile`, which comes with the package
    (docs/zoo.md)."""
    run: Annotated[str, Run()] | None = None
    """A run: its folder, or its MLflow id. Its best checkpoint draws; or give `checkpoint`."""
    input: Annotated[Path, Existing("image, folder of images or video", _INPUT)] | None = None
    """An image, a folder of images, a video, or camera (camera:1 is the second): what it sees, in a window."""
    boxes: str = MISSING
    """Where the people are. auto: MoveNet, which comes with the package, finds them, the one nearest the middle first;
    it misses those who are small in the image, and some of a crowd. image: one person, who fills it. detector:
    torchvision's, whose weights must be in $TORCH_HOME (nothing is downloaded). Or a file, in pixels: json
    ({"image.jpg": [[x, y, width, height]]}, or COCO's), csv (image,x,y,width,height) or npz (annotations, as training
    reads them). A video's boxes hold for each of its frames."""
    min_score: Fraction | None = None
    """People who are found with a lower score are left out; null: 0.35 of MoveNet's, 0.7 of the detector's."""
    align: bool = MISSING
    """Move and size the people so that they stand over the keypoints that MoveNet sees; false: where the model itself
    sees them."""
    out: Path = MISSING
    """A new folder, for a PNG, an npz and the meshes of each image."""
    meshes: list[Annotated[str, OneOf("glb", "obj")]] = field(default_factory=list)
    """Formats of the meshes; [] for none."""
    contrast: Annotated[str | None, OneOf("spin")] = None
    """spin: each crop is stretched to the values 0 to 255, as SPIN does; for its checkpoints. null: as the model was
    trained."""
    focal: Annotated[float, Range(1)] | None = None
    """Focal length of the photographs' camera, pixels, which sets how far away people are; null: the image's
    diagonal."""
    picture_size: Annotated[int, Range(64, 65536)] = MISSING
    """Longer side of the drawn pictures, pixels."""
    every: Count = MISSING
    """Of a video, every N-th frame."""
    smoothing: Annotated[str, OneOf("none", "one_euro")] = MISSING
    """Of people in a video or before a camera. one_euro: steady where little moves, quick where much does."""
    batch_size: Annotated[int, Range(1, 10**6)] = MISSING
    """People that go through the network at once."""
    body: BodyConfig = MISSING
    device: Device = MISSING
    """Where the network runs; auto takes a GPU if there is one."""
    threads: Threads | None = None
    """CPU threads; null: torch's choice."""
    tracking: TrackingConfig = MISSING

    def __post_init__(self) -> None:
        if self.checkpoint is not None and self.run is not None:
            raise UserError(
                "both checkpoint= and run= name a model",
                "Give one of them, or neither: then the model that comes with the package draws.",
            )
        if self.input is None:
            raise UserError("say which input: input=", "For example: hmr-light predict input=photographs")

    def unread(self) -> tuple[str, ...]:
        """A camera is no path."""
        return () if camera_number(str(self.input)) is None else ("input",)


@dataclass
class DoctorConfig:
    """`hmr-light doctor`."""

    body: BodyConfig = MISSING
    tracking: TrackingConfig = MISSING


@dataclass
class UiConfig:
    """`hmr-light ui`."""

    port: Annotated[int, Range(1, 65535)] = MISSING
    """The port of this machine that the pages are at."""
    tracking: TrackingConfig = MISSING


@dataclass
class ProfileConfig:
    """`hmr-light profile`."""

    backbones: list[Annotated[str, Choice("backbone")]] = field(default_factory=list)
    """Choices of backbone=, as a list; [] for all of them."""
    checkpoints: list[Annotated[str, Trained()]] = field(default_factory=list)
    """Instead of backbones: checkpoint files, or models that come with the package, as a list. They are profiled as
    they are, compressed ones too, at the image size that they were trained with."""
    by: Annotated[str, OneOf("model", "layer_type", "layer")] = MISSING
    """model: a row for each backbone. layer_type: its kinds of layers and their shares. layer: every layer."""
    image_size: Annotated[int, Range(64, 4096)] = MISSING
    """Side of the square input, pixels."""
    regressor: dict[str, Any] = MISSING
    format: RecordFormat = MISSING
    """The table's format; terminal: a table for the eye, or markdown where the output goes to a pipe or a file."""
    out: Path | None = None
    """The file to write; null: print."""


@dataclass
class BenchmarkConfig:
    """`hmr-light benchmark`."""

    models: list[Annotated[str, Model()]] | None = None
    """Choices of backbone= or experiment= of hmr-light train, checkpoint files, exported files (FILE.onnx, FILE.xml),
    run folders (their last checkpoint). All times are also given as ratios to the first one's. null: three common
    backbones, or, with experiment=NAME, the best checkpoint of every run of that MLflow experiment."""
    variants: list[str] = field(default_factory=list)
    """How each model is run: eager, or steps joined by +. folded: the regressor as one affine map. fused: batch norms
    within their convolutions. channels_last. bfloat16, float16. compile: torch.compile (up to a minute a model). mesh:
    the body model too."""
    batch_sizes: list[Annotated[int, Range(1, 10**6)]] = field(default_factory=list)
    """Images that go through the network at once, as a list."""
    threads: list[Threads] = field(default_factory=list)
    """CPU threads, as a list."""
    rounds: Annotated[int, Range(2, 10**6)] = MISSING
    """How many times each model is measured."""
    warmup: Annotated[int, Range(0, 10**6)] = MISSING
    """Rounds before, which do not count."""
    image_size: Annotated[int, Range(64, 4096)] | None = None
    """Side of the square input, pixels; null: the size that a checkpoint was trained with, 224 for a config."""
    device: Device = MISSING
    """Where the network runs; auto takes a GPU if there is one."""
    regressor: dict[str, Any] = MISSING
    body: BodyConfig = MISSING
    tracking: TrackingConfig = MISSING
    log: bool | None = None
    """Write the figures of checkpoints to their runs; null: those of an experiment."""
    format: RecordFormat = MISSING
    """The table's format; terminal: a table for the eye, or markdown where the output goes to a pipe or a file."""
    out: Path | None = None
    """The file to write; null: print."""

    def __post_init__(self) -> None:
        for key in ("models", "variants", "batch_sizes", "threads"):
            if getattr(self, key) == []:
                raise UserError(f"{key} is empty", f"Name at least one: {key}=[…]; see hmr-light benchmark --help.")
        if self.models and self.tracking.experiment:
            raise UserError("models= and experiment= are both given", "Choose one of them.")


SCHEMAS: dict[str, type] = {
    "prepare": PrepareConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "compress": CompressConfig,
    "export": ExportConfig,
    "search": SearchConfig,
    "table": TableConfig,
    "profile": ProfileConfig,
    "benchmark": BenchmarkConfig,
    "predict": PredictConfig,
    "sync": SyncConfig,
    "ui": UiConfig,
    "doctor": DoctorConfig,
}
