"""What can be chosen about the rendered dataset: types and limits.

`conf/source/synthetic.yaml` has the default values, and says what each option means.
"""

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
    noise: float
    yaw_degrees: tuple[float, float]
    frames_per_clip: int
    amass: str | None

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
    patterned: float
    skirt: float
    coat: float
    loose: float
    ease_m: tuple[float, float]
    hair_m: tuple[float, float]

    def __post_init__(self) -> None:
        _between("people.shape_std", self.shape_std, 0, 2)
        _chances(self, "people", "patterned", "skirt", "coat", "loose")
        _range("people.ease_m", self.ease_m, 0, 0.2)
        _range("people.hair_m", self.hair_m, 0, 0.1)


@dataclass
class CameraConfig:
    """From where, and how the person stands in the image. Ranges are [low, high], drawn uniformly."""

    height_m: tuple[float, float]
    pitch_degrees: tuple[float, float]
    roll_std_degrees: float
    field_of_view_degrees: tuple[float, float]
    fill: tuple[float, float]
    crop_scale: tuple[float, float]
    crop_scale_std: float
    crop_shift: float
    context: tuple[float, float]
    truncation: float

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
    ambient: tuple[float, float]
    shadow: float
    seat: float
    backgrounds: dict[str, float]
    photographs: str | None
    clutter: tuple[int, int]
    occlusion: float
    second_person: float
    occlusion_share: float

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
    motion_blur: float
    noise: tuple[float, float]
    gamma: tuple[float, float]
    white_balance: float
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
    counts: SplitCounts
    workers: int | None
    poses: PosesConfig
    people: PeopleConfig
    camera: CameraConfig
    scene: SceneConfig
    sensor: SensorConfig
    ood: dict[str, dict[str, Any]]

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
