"""The options of `hmr-light export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from omegaconf import MISSING

from hmr_light.config.groups.body import BodyConfig
from hmr_light.config.groups.data import DataConfig
from hmr_light.config.groups.tracking import TrackingConfig
from hmr_light.config.limits import OneOf, Range, Threads
from hmr_light.config.names import Packaged, Run, Trained
from hmr_light.errors import UserError

FINDER = "finder"
ENDINGS = {"onnx": ".onnx", "openvino": ".xml", "executorch": ".pte"}
"""Of the names of the files, by format."""


@dataclass
class ExportConfig:
    """`hmr-light export`."""

    run: Annotated[str, Run()] | None = None
    """A run: its folder, or its MLflow id. Its best checkpoint is exported; or give `checkpoint` or `model`."""
    checkpoint: Annotated[Path, Trained()] | None = None
    """A checkpoint file, of hmr_light or of another system; or give `run` or `model`."""
    model: Annotated[str, Packaged(words=(FINDER,))] | None = None
    """A model that comes with the package, by its name (docs/zoo.md); or give `run` or `checkpoint`. finder: what finds
    people and their keypoints in an image (docs/deployment.md)."""
    format: Annotated[str, OneOf("onnx", "openvino", "executorch", "web")] = MISSING
    """The kind of file. onnx: for ONNX Runtime, OpenCV and many others. openvino: for OpenVINO, which is the fastest
    with int8 on Intel's and AMD's processors; FILE.xml, and its weights in FILE.bin. executorch: FILE.pte, for
    ExecuTorch on phones, one crop at a time, float32. web: a folder with a web page that runs the model in the
    visitor's browser; `input` and `outputs` are the page's own then."""
    precision: Annotated[str | None, OneOf("float32", "float16", "int8", "codebook")] = None
    """How weights are stored; null: as the model has them. float32, float16. int8: whole numbers, of a model that
    compression=int8 has made. codebook: indices into a few values of a model that compression=share has made."""
    input: Annotated[str, OneOf("uint8", "float32")] = MISSING
    """What the file takes: RGB crops of the values 0 to 255, any number at once; they are normalised in the file.
    uint8: (batch, side, side, 3), as image files have them. float32: (batch, 3, side, side), as OpenCV's blobFromImage
    makes them."""
    outputs: Annotated[str, OneOf("parameters", "joints", "mesh")] = MISSING
    """What the file gives. parameters: rotations, betas, camera. joints: also the 49 joints. mesh: also the vertices.
    Joints and vertices are those of `body`, whose numbers are in the file then."""
    include_body: bool = MISSING
    """Allow that numbers of a body of your own are written into the file. SMPL's licence forbids most ways to pass such
    a file on. The embedded body needs no leave."""
    body: BodyConfig = MISSING
    data: DataConfig = MISSING
    """A file with rounded weights is scored beside its model on the first evaluation set, if that is here. For a run:
    its own sets, unless `data=` is given."""
    protocol: dict[str, Any] = MISSING
    images: Annotated[int, Range(0, 2**31 - 1)] = MISSING
    """How many people of that set; 0: none."""
    out: Path | None = None
    """The new file, FILE.onnx, FILE.xml or FILE.pte, or a page's folder; null: model-PRECISION in the run's folder, or
    beside the checkpoint where it has no run, and NAME-PRECISION in this folder for a model of the package. A page's
    ends in -web."""
    threads: Threads | None = None
    """CPU threads of the comparison; null: torch's choice."""
    tracking: TrackingConfig = MISSING

    def unread(self) -> tuple[str, ...]:
        """Sets that are not here are not scored on."""
        return ("data.",)

    def __post_init__(self) -> None:
        if sum(one is not None for one in (self.run, self.checkpoint, self.model)) != 1:
            raise UserError(
                "say what to export: one of run=, checkpoint= and model=",
                "For example: hmr-light export model=mobile",
            )
        if self.out is not None and self.out.suffix.lower() != ENDINGS.get(self.format, self.out.suffix.lower()):
            ending = ENDINGS[self.format]
            raise UserError(
                f"out={self.out} does not end in {ending}, by which a file of format={self.format} is known",
                f"Give a name such as model{ending}.",
            )
        if self.model == FINDER and self.format != "onnx":
            raise UserError("model=finder is exported with format=onnx alone", "Leave format= out.")
        if self.format == "web" and self.body.name != "embedded":
            raise UserError(
                f"format=web shows the embedded body, not body={self.body.name}, whose numbers every visitor would get",
                "Leave body= out, or choose format=onnx.",
            )
        if self.model == FINDER and (self.precision not in (None, "float16") or self.outputs != "parameters"):
            raise UserError(
                "model=finder has weights in float16, and gives keypoints alone",
                "Leave precision= and outputs= out.",
            )
        if self.outputs != "parameters" and self.body.name != "embedded" and not self.include_body:
            raise UserError(
                f"outputs={self.outputs} would write numbers of body={self.body.name} into the file",
                "Give include_body=true if the licence of that body allows what the file is for, or "
                "outputs=parameters, or leave body= out.",
            )
