from __future__ import annotations

import pytest
from omegaconf import OmegaConf
from support.synthetic import reference_config

from hmr_light.config.strict import typed
from hmr_light.data.synthetic import SyntheticConfig
from hmr_light.errors import UserError
from hmr_light.paths import conf_dir


def test_low_postures_are_one_or_two_in_ten() -> None:
    weights = reference_config().poses.archetypes
    low = sum(weights[name] for name in ("sit", "squat", "kneel", "lie")) / sum(weights.values())
    assert 0.10 <= low <= 0.20


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size": 10}, "size"),
        ({"camera": {"fill": [0.9, 0.2]}}, "camera.fill"),
        ({"camera": {"fill": [0.1, 0.2, 0.3]}}, "camera.fill"),
        ({"poses": {"archetypes": {"squad": 1.0}}}, "squad"),
        ({"poses": {"yaw_degrees": [90, 0]}}, "poses.yaw_degrees"),
        ({"scene": {"backgrounds": {"beach": 1.0}}}, "beach"),
        ({"ood": {"scenery": {"occlusion": 1.0}}}, "ood has no 'scenery'"),
        ({"ood": {"scene": {"oclusion": 1.0}}}, "oclusion"),
        ({"ood": {"scene": {"occlusion": 2.0}}}, "scene.occlusion"),
        ({"scene": {"occlusion": 1.5}}, "scene.occlusion"),
        ({"counts": {"train": -1}}, "counts.train"),
    ],
)
def test_bad_choices_are_named(changes: dict[str, object], named: str) -> None:
    values = OmegaConf.load(conf_dir() / "source" / "synthetic.yaml")
    del values["name"], values["out"]
    with pytest.raises(UserError, match=named):
        typed(SyntheticConfig, OmegaConf.merge(values, changes))  # type: ignore[arg-type]
