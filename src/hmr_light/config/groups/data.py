"""`data=` and `data/augmentation=`: what is trained on and evaluated on, and how training samples are changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from omegaconf import MISSING

from hmr_light.config.limits import Count, Existing, Fraction, OneOf, Range


def _make_annotations(key: str, file: Path) -> str:
    from hmr_light.config.makers import make_remedy  # it reads the configs, which are checked by what stands here

    return make_remedy(key, file)


@dataclass
class SetConfig:
    """One set of annotated images."""

    annotations: Annotated[Path, Existing("file of annotations", _make_annotations)] = MISSING
    """The annotations (npz)."""
    images: Path = MISSING
    """The folder that the annotations' image names are relative to."""
    ratio: Annotated[float, Range(0, 1e9)] = 1.0
    """Share of the training samples that come from this set, relative to the other sets."""
    pixel_origin: Annotated[str | None, OneOf("edge")] = None
    """edge: the file's `center` counts from the edge of the first pixel, as in SPIN's own files. null: from its
    centre."""
    limit: Count | None = None
    """The first so many people of the set, for a quick trial; null: all of them. Errors on a part of an evaluation set
    are named after it (NAME-first-20), and never compared with others."""
    split: Annotated[str | None, OneOf("train", "held_out")] = None
    """Two sets of one file: held_out has everybody in every fifth image, chosen by a hash of the images' names, and
    train all others. null: everybody."""


@dataclass
class AugmentationConfig:
    """Random changes of a training sample. Zero switches each off. The first five are SPIN's."""

    flip_probability: Fraction = MISSING
    """Probability that a sample is mirrored."""
    rotation_std_degrees: Annotated[float, Range(0, 360)] = MISSING
    """Standard deviation of the rotation; the draw is cut at twice this."""
    rotation_probability: Fraction = MISSING
    """Probability that a sample is rotated."""
    scale_std: Fraction = MISSING
    """Standard deviation of the factor of the box's side; the draw is cut at one deviation."""
    colour_gain: Fraction = MISSING
    """Each colour channel is multiplied by a draw from 1 ± this."""
    shift: Annotated[float, Range(0, 0.5)] = 0.0
    """The box is moved by up to this share of its side, along each axis."""
    contrast: Fraction = 0.0
    """The contrast is multiplied by a draw from 1 ± this."""
    grey_probability: Fraction = 0.0
    """Probability that a sample is made grey."""
    blur_probability: Fraction = 0.0
    """Probability that a sample is blurred."""
    low_resolution_probability: Fraction = 0.0
    """Probability that a sample is enlarged from fewer pixels, as a person far away is."""
    cutout_probability: Fraction = 0.0
    """Probability that a rectangle of the crop is covered by one colour."""


@dataclass
class DataConfig:
    """What is trained on and what is evaluated on."""

    name: str = MISSING
    """The name of the choice."""
    root: Path | None = None
    """The folder of the sets; their paths refer to it."""
    image_size: Annotated[int, Range(64, 1024)] = MISSING
    """Side of the network's square input, pixels."""
    contrast: Annotated[str | None, OneOf("spin")] = None
    """spin: each crop is stretched to the values 0 to 255, as SPIN does; for evaluating its checkpoints. null: not."""
    workers: Annotated[int, Range(0, 1024)] = MISSING
    """Loader processes of each training process; 0: the training process loads the images itself."""
    train: dict[str, SetConfig] = field(default_factory=dict)
    """The sets to train on, by name."""
    evaluation: dict[str, SetConfig] = field(default_factory=dict)
    """The sets to evaluate on, by name. The first is the primary one: its figures are the run's headline figures."""
    augmentation: AugmentationConfig = MISSING
