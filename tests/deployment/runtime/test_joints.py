from __future__ import annotations

from hmr_light.body import load_body
from hmr_light.body.joints import COCO_TO_J24
from hmr_light.deployment.runtime.joints import COCO_JOINTS, PICKED_VERTICES


def test_the_joints_are_those_of_the_main_package() -> None:
    assert tuple(25 + joint for joint in COCO_TO_J24) == COCO_JOINTS
    assert tuple(load_body().layer.vertex_joint_selector.extra_joints_idxs.tolist()) == PICKED_VERTICES
