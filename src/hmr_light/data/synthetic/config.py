"""What can be chosen about the rendered dataset. The reference values stand in `conf/dataset/synthetic.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hmr_light.errors import UserError, did_you_mean


def _range(key: str, value: Sequence[float], least: float, greatest: float) -> None:
    if len(value) != 2 or not least <= value[0] <= value[1] <= greatest:
        raise UserError(
            f"dataset.{key}={value} is not a range", f"Give [low, high] with {least:g} <= low <= high <= {greatest:g}."
        )


def _between(key: str, value: float, least: float, greatest: float) -> None:
    if not least <= value <= greatest:
        raise UserError(f"dataset.{key}={value} is out of range", f"Give a number from {least:g} to {greatest:g}.")


@dataclass
class SplitCounts:
    """Images of each split."""

    train: int
    val: int
    test: int

    def __post_init__(self) -> None:
        for name, count in asdict(self).items():
            _between(f"counts.{name}", count, 0, 10_000_000)


@dataclass
class PeopleConfig:
    """Who is photographed, and what they do."""

    archetypes: dict[str, float]
    """Relative frequency of each archetype of pose; 0 leaves one out."""
    noise: float
    """Factor of the joints' noise; 1 has standard deviations of 3 to 15 degrees, by joint."""
    frames_per_clip: int
    """Images that show moments of one movement, each by another camera, of another person, elsewhere."""
    shape_std: float
    """Standard deviation of the shape coefficients; each is cut at 2.5."""

    def __post_init__(self) -> None:
        from hmr_light.data.synthetic.archetypes import ARCHETYPES

        for name, weight in self.archetypes.items():
            if name not in ARCHETYPES:
                raise UserError(f"dataset.people.archetypes has no '{name}'", did_you_mean(name, ARCHETYPES))
            _between(f"people.archetypes.{name}", weight, 0, 1e6)
        if not sum(self.archetypes.values()) > 0:
            raise UserError("dataset.people.archetypes leaves nothing to do", "Give at least one a weight above 0.")
        _between("people.noise", self.noise, 0, 2)
        _between("people.frames_per_clip", self.frames_per_clip, 1, 10_000)
        _between("people.shape_std", self.shape_std, 0, 2)


@dataclass
class CameraConfig:
    """From where, and how the person stands in the image. Ranges are [low, high], drawn uniformly."""

    height_m: tuple[float, float]
    """Above the ground."""
    pitch_degrees: tuple[float, float]
    """Negative looks down."""
    roll_std_degrees: float
    field_of_view_degrees: tuple[float, float]
    """Of the whole photograph; with `fill` it sets the distance."""
    fill: tuple[float, float]
    """Share of the photograph's side that the person's longest side takes."""
    context: tuple[float, float]
    """Side of the written image over the side of the annotated box (which is 1.2 times the tight one)."""
    shift: float
    """Largest distance of the box's centre from the image's, in box sides; never so far that the box leaves it."""
    truncation: float
    """Probability that the image's edge cuts through the person; the box is then that of the visible part."""

    def __post_init__(self) -> None:
        _range("camera.height_m", self.height_m, 0.1, 20)
        _range("camera.pitch_degrees", self.pitch_degrees, -85, 85)
        _range("camera.field_of_view_degrees", self.field_of_view_degrees, 5, 110)
        _range("camera.fill", self.fill, 0.02, 1.5)
        _range("camera.context", self.context, 1, 4)
        _between("camera.roll_std_degrees", self.roll_std_degrees, 0, 90)
        _between("camera.shift", self.shift, 0, 0.5)
        _between("camera.truncation", self.truncation, 0, 1)


@dataclass
class SceneConfig:
    """Light, background, and what stands in front."""

    lights: tuple[int, int]
    """Number of directional lights."""
    ambient: tuple[float, float]
    """Share of the light that has no direction."""
    shadow: float
    """Probability of a soft contact shadow on the ground."""
    clutter: tuple[int, int]
    """Number of things in the background."""
    occlusion: float
    """Probability that something stands in front of the person."""
    occlusion_share: float
    """Largest share of the person's pixels that it may hide."""

    def __post_init__(self) -> None:
        _range("scene.lights", self.lights, 1, 8)
        _range("scene.ambient", self.ambient, 0, 1)
        _range("scene.clutter", self.clutter, 0, 1000)
        for name in ("shadow", "occlusion", "occlusion_share"):
            _between(f"scene.{name}", getattr(self, name), 0, 1)


@dataclass
class SensorConfig:
    """What lens, sensor and file do to the image."""

    blur_px: tuple[float, float]
    """Standard deviation of the lens' blur at 256 pixels a side."""
    motion_blur: float
    """Probability of motion blur."""
    noise: tuple[float, float]
    """Standard deviation of the noise, grey levels of 255."""
    gamma: tuple[float, float]
    white_balance: float
    """Each channel is multiplied by a draw from 1 ± this."""
    jpeg_quality: tuple[int, int]

    def __post_init__(self) -> None:
        _range("sensor.blur_px", self.blur_px, 0, 20)
        _between("sensor.motion_blur", self.motion_blur, 0, 1)
        _range("sensor.noise", self.noise, 0, 100)
        _range("sensor.gamma", self.gamma, 0.2, 5)
        _between("sensor.white_balance", self.white_balance, 0, 0.9)
        _range("sensor.jpeg_quality", self.jpeg_quality, 1, 100)


@dataclass
class SyntheticConfig:
    """A rendered dataset. Every value but `workers` is part of what the images are."""

    seed: int
    size: int
    """Side of the written square images, pixels."""
    counts: SplitCounts
    workers: int | None
    """Processes that render; null takes one a core. The result does not depend on it."""
    people: PeopleConfig
    camera: CameraConfig
    scene: SceneConfig
    sensor: SensorConfig

    def __post_init__(self) -> None:
        _between("seed", self.seed, 0, 2**63 - 1)
        _between("size", self.size, 64, 2048)
        if self.workers is not None:
            _between("workers", self.workers, 1, 1024)

    def identity(self) -> dict[str, Any]:
        """What makes the images, as plain data: everything but the number of workers."""
        values = asdict(self)
        del values["workers"]
        return values
