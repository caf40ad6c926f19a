from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from support.synthetic import reference_config

from hmr_light.body import load_body
from hmr_light.data.synthetic.mesh import Mesh
from hmr_light.data.synthetic.sample import Renderer


def test_photographs_are_the_background(tmp_path: Path) -> None:
    """Each split shows photographs of its own, here of one colour each, all around the person."""
    for number in range(10):
        colour = np.array([20 * number, 255 - 20 * number, 128], np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((300, 400, 3), colour, np.uint8))
    config = reference_config(size=96)
    scene = replace(config.scene, photographs=str(tmp_path), clutter=(0, 0), shadow=0.0, occlusion=0.0)
    sensor = replace(config.sensor, noise=(0, 0), gamma=(1, 1), white_balance=0.0, jpeg_quality=(95, 95))
    config = replace(config, scene=replace(scene, second_person=0.0, seat=0.0), sensor=sensor, ood={})
    renderer = Renderer(config, Mesh.of(load_body()))
    seen: dict[str, set[int]] = {}
    for split in ("train", "val", "test", "test-ood"):
        seen[split] = set()
        for index in range(12):
            sample = renderer.sample(split, index)
            image = cv2.imdecode(np.frombuffer(sample.jpeg, np.uint8), cv2.IMREAD_COLOR)
            far = cv2.dilate(sample.mask.astype(np.uint8), np.ones((31, 31), np.uint8)) == 0
            if far.any():
                blue = np.median(image[far][:, 0])
                assert np.ptp(image[far][:, 0].astype(int)) < 12
                seen[split].add(round(float(blue) / 20))
    assert len(seen["train"]) > 3
    assert all(len(seen[split]) == 1 for split in ("val", "test", "test-ood"))
    assert len(set().union(*seen.values())) == sum(len(colours) for colours in seen.values())
