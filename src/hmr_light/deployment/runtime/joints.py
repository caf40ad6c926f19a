"""SMPL's joints: which of them SPIN's 49 and COCO's 17 are."""

from __future__ import annotations

PICKED_VERTICES = (
    332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787, 2746, 2319, 2445, 2556, 2673, 6191, 5782, 5905,
    6016, 6133,
)  # fmt: skip
"""The vertices that smplx appends to the 24 joints of the kinematic tree: face, feet, fingertips."""

SPIN_JOINTS_49 = (
    24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
    8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53, 24, 26, 25, 28, 27,
)  # fmt: skip
"""Where each of SPIN's 49 joints is among 54: the 24 joints, the picked vertices, the 9 of the extra regressor."""

COCO_JOINTS = (44, 45, 46, 47, 48, 34, 33, 35, 32, 36, 31, 28, 27, 29, 26, 30, 25)
"""Where COCO's 17 keypoints stand among the 49 joints."""
