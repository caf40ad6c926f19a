"""A file with smaller weights is another model by their rounding: its error beside that of its model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from hmr_light.config.schema import EvaluateConfig
from hmr_light.data.progress import ProgressBar
from hmr_light.errors import UserError
from hmr_light.evaluation.evaluate import best_batch_size
from hmr_light.evaluation.inputs import open_inputs
from hmr_light.evaluation.scoring import Predictor, on_crops, score
from hmr_light.model.file_predictor import FilePredictor
from hmr_light.model.hmr import HMR

METRIC = "mpjpe_mm"
MOST_MM = 1.0


@dataclass(frozen=True)
class Scored:
    """The errors of a model and of its file on the same people, mm."""

    evaluated_on: str
    people: int
    model_mm: float
    file_mm: float

    def check(self) -> None:
        """Raise `UserError` where the file is worse by more than is allowed, or an error is not a number."""
        if not self.file_mm - self.model_mm <= MOST_MM:
            raise UserError(
                f"the file is worse than the model: {self.file_mm:.2f} mm instead of {self.model_mm:.2f} mm MPJPE on "
                f"{self.people} people of {self.evaluated_on} (at most {MOST_MM:g} mm more)",
                "Nothing was written. Choose another precision, or fine-tune the compressed model.",
            )


def score_both(config: EvaluateConfig, model: HMR, predictor: FilePredictor, images: int) -> Scored | None:
    """The errors on the first `images` people of the first evaluation set of `config`, whose device is the CPU.

    None where its annotations are not here, and for a protocol without that metric. `model` is in evaluation mode.
    """
    both: dict[str, Predictor] = {"model": on_crops(model), "file": predictor}
    if not images or not (errors := score_all(config, both, predictor.image_size, images)):
        return None
    return Scored(errors.evaluated_on, errors.people, errors.millimetres["model"], errors.millimetres["file"])


class Errors(NamedTuple):
    """Of several predictors on the same people, mm."""

    evaluated_on: str
    people: int
    millimetres: dict[str, float]


def score_all(
    config: EvaluateConfig, predictors: Mapping[str, Predictor], image_size: int, images: int
) -> Errors | None:
    """As `score_both`, of any number of predictors of crops of `image_size` pixels."""
    if not config.data.evaluation:
        return None
    name, one = next(iter(config.data.evaluation.items()))
    if not one.annotations.expanduser().is_file():
        return None
    data = replace(config.data, evaluation={name: replace(one, limit=min(images, one.limit or images))})
    with open_inputs(replace(config, data=data), image_size) as inputs:
        if METRIC not in inputs.scorer.protocol.metrics:
            return None
        (dataset,) = inputs.datasets.values()
        with ProgressBar(len(dataset), f"scoring model and file on {name}") as bar:
            sums = score(
                predictors,
                dataset,
                inputs.scorer,
                inputs.distributed,
                batch_size=best_batch_size(inputs.distributed.device),
                workers=0,
                on_batch=bar.advance,
            )
    people = next(iter(sums.values())).count
    return Errors(name, people, {who: own.means()[METRIC] for who, own in sums.items()})
