from __future__ import annotations

import numpy as np

from hmr_light.data.synthetic.archetypes import ARCHETYPES


def test_gait_swings_arms_against_legs() -> None:
    for name in ("walk", "run"):
        hips, arms = [], []
        for step in range(40):
            pose = ARCHETYPES[name](np.random.default_rng(11), step / 40).pose
            hips.append(pose[1, 0] - pose[2, 0])
            arms.append(pose[16, 0] - pose[17, 0])
        assert np.corrcoef(hips, arms)[0, 1] < -0.9, name
