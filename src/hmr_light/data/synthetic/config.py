"""What can be chosen about the rendered dataset. The reference values stand in `conf/source/synthetic.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from hmr_light.errors import UserError, did_you_mean


def _range(key: str, value: Sequence[float], least: float, greatest: float) -> None:
    if len(value) != 2 or not least <= value[0] <= value[1] <= greatest:
        raise UserError(
            f"source.{key}={value} is not a range", f"Give [low, high] with {least:g} <= low <= high <= {greatest:g}."
        )


def _between(key: str, value: float, least: float, greatest: float) -> None:
    if not least <= value <= greatest:
        raise UserError(f"source.{key}={value} is out of range", f"Give a number from {least:g} to {greatest:g}.")


def _chances(group: Any, section: str, *names: str) -> None:
    for name in names:
        _between(f"{section}.{name}", getattr(group, name), 0, 1)


def _frequencies(key: str, weights: Mapping[str, float], known: Sequence[str]) -> None:
    for name, weight in weights.items():
        if name not in known:
            raise UserError(f"source.{key} has no '{name}'", did_you_mean(name, known))
        _between(f"{key}.{name}", weight, 0, 1e6)
    if not sum(weights.values()) > 0:
        raise UserError(f"source.{key} leaves nothing to choose from", "Give at least one a weight above 0.")


@dataclass
class SplitCounts:
    """Images of each split."""

    train: int
    val: int
    test: int
    test_ood: int
    """Of the split test-ood, which is made with the changes under `ood`."""

    def __post_init__(self) -> None:
        for name, count in asdict(self).items():
            _between(f"counts.{name}", count, 0, 10_000_000)

    def by_split(self) -> dict[str, int]:
        """Images by the split's name on disk, those of empty splits left out."""
        return {name.replace("_", "-"): count for name, count in asdict(self).items() if count}


@dataclass
class PosesConfig:
    """What people do."""

    archetypes: dict[str, float]
    """Relative frequency of each archetype of pose; 0 leaves one out."""
    noise: float
    """Factor of the joints' noise; 1 has standard deviations of 3 to 15 degrees, by joint."""
    yaw_degrees: tuple[float, float]
    """Which way people are turned, drawn uniformly: 0 faces the camera, 90 looks to the image's right."""
    frames_per_clip: int
    """Images that show moments of one movement, each by another camera, of another person, elsewhere."""
    amass: str | None
    """Folder of AMASS files (npz), searched with its subfolders, whose poses are taken instead."""

    def __post_init__(self) -> None:
        from hmr_light.data.synthetic.archetypes import ARCHETYPES

        _frequencies("poses.archetypes", self.archetypes, list(ARCHETYPES))
        _between("poses.noise", self.noise, 0, 2)
        _range("poses.yaw_degrees", self.yaw_degrees, -360, 360)
        _between("poses.frames_per_clip", self.frames_per_clip, 1, 10_000)


@dataclass
class PeopleConfig:
    """Who is photographed, and in what clothes."""

    shape_std: float
    """Standard deviation of the shape coefficients; each is cut at 2.5."""
    patterned: float
    """Probability that a piece of cloth has stripes, checks, dots, blots or a print."""
    skirt: float
    """Probability of a skirt or dress, which hangs free of the legs."""
    coat: float
    """Probability of a coat whose open tails hang free of the legs."""
    loose: float
    """Probability that sleeves, top or trousers stand off the body."""
    ease_m: tuple[float, float]
    """How far they do, at the hem."""
    hair_m: tuple[float, float]
    """How far hair stands off the head."""

    def __post_init__(self) -> None:
        _between("people.shape_std", self.shape_std, 0, 2)
        _chances(self, "people", "patterned", "skirt", "coat", "loose")
        _range("people.ease_m", self.ease_m, 0, 0.2)
        _range("people.hair_m", self.hair_m, 0, 0.1)


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
    crop_scale: tuple[float, float]
    """Side of the annotated box over 1.2 times the side of the tight one."""
    crop_scale_std: float
    """It is drawn log-normally around 1 with this deviation, and cut at the range; 0 gives exact boxes."""
    crop_shift: float
    """Largest distance of the annotated box's centre from the tight one's, in sides of the tight box."""
    context: tuple[float, float]
    """Side of the written image over the side of the annotated box."""
    truncation: float
    """Probability that the image's edge cuts through the person; the box is then about the visible part."""

    def __post_init__(self) -> None:
        _range("camera.height_m", self.height_m, 0.1, 20)
        _range("camera.pitch_degrees", self.pitch_degrees, -85, 85)
        _range("camera.field_of_view_degrees", self.field_of_view_degrees, 5, 110)
        _range("camera.fill", self.fill, 0.02, 1.5)
        _range("camera.crop_scale", self.crop_scale, 0.3, 4)
        _between("camera.crop_scale_std", self.crop_scale_std, 0, 1)
        _between("camera.crop_shift", self.crop_shift, 0, 0.5)
        _range("camera.context", self.context, 1, 4)
        _between("camera.roll_std_degrees", self.roll_std_degrees, 0, 90)
        _between("camera.truncation", self.truncation, 0, 1)


@dataclass
class SceneConfig:
    """Light, background, and what stands in front."""

    lights: tuple[int, int]
    """Number of directional lights."""
    ambient: tuple[float, float]
    """Share of the light that has no direction."""
    shadow: float
    """Probability of a soft shadow on the ground: of the first light, and of contact."""
    seat: float
    """Probability that who sits is seen to sit on something."""
    backgrounds: dict[str, float]
    """Relative frequency of each kind of background; 0 leaves one out."""
    photographs: str | None
    """Folder of photographs without people, searched with its subfolders, that are taken as backgrounds instead."""
    clutter: tuple[int, int]
    """Number of things in the background."""
    occlusion: float
    """Probability that something stands in front of the person."""
    second_person: float
    """Probability that another person stands beside or in front of the person."""
    occlusion_share: float
    """Largest share of the person's pixels that either may hide."""

    def __post_init__(self) -> None:
        from hmr_light.data.synthetic.background import BACKGROUNDS

        _range("scene.lights", self.lights, 1, 8)
        _range("scene.ambient", self.ambient, 0, 1)
        _frequencies("scene.backgrounds", self.backgrounds, list(BACKGROUNDS))
        _range("scene.clutter", self.clutter, 0, 1000)
        _chances(self, "scene", "shadow", "seat", "occlusion", "second_person", "occlusion_share")


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
    poses: PosesConfig
    people: PeopleConfig
    camera: CameraConfig
    scene: SceneConfig
    sensor: SensorConfig
    ood: dict[str, dict[str, Any]]
    """What is different in the split test-ood: values of the sections above, by section and key."""

    def __post_init__(self) -> None:
        _between("seed", self.seed, 0, 2**63 - 1)
        _between("size", self.size, 64, 2048)
        if self.workers is not None:
            _between("workers", self.workers, 1, 1024)
        if self.ood:
            self.of_split("test-ood")

    def of_split(self, split: str) -> SyntheticConfig:
        """The configuration that a split is made with. Raises `UserError` that names a faulty entry of `ood`."""
        if split != "test-ood":
            return self
        sections = {}
        for name, values in self.ood.items():
            if name not in (known := ("poses", "people", "camera", "scene", "sensor")):
                raise UserError(f"source.ood has no '{name}'", did_you_mean(name, known))
            section = getattr(self, name)
            keys = [field.name for field in fields(section)]
            for key in values:
                if key not in keys:
                    raise UserError(f"source.ood.{name} has no '{key}'", did_you_mean(key, keys))
            try:
                sections[name] = replace(section, **values)
            except (TypeError, AttributeError):
                raise UserError(
                    f"source.ood.{name}={values} has a value of a wrong type", f"Look at source.{name}."
                ) from None
        return replace(self, ood={}, **sections)

    def identity(self) -> dict[str, Any]:
        """What makes the images, as plain data: everything but the number of workers."""
        values = asdict(self)
        del values["workers"]
        return values
