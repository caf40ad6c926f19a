"""Joint names, and the maps between SMPL's joints, SPIN's 49, the Human3.6M regressor's 17, J14 and J17.

SMPL gives 54 joints: 24 of the kinematic tree, 21 vertices picked by smplx (face, feet, fingertips), and 9 of the extra
regressor. SPIN uses 49 of them: OpenPose's 25, then 24 that annotations have (Kolotouros et al., ICCV 2019).
"""

from __future__ import annotations

from hmr_light.deployment.runtime.joints import SPIN_JOINTS_49 as SPIN_JOINTS_49

JOINT_NAMES_24_SMPL = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip

SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

OPENPOSE25_NAMES = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
    "right_heel",
)  # fmt: skip

J24_NAMES = (
    "right_ankle", "right_knee", "right_hip_lsp", "left_hip_lsp", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck_lsp", "head_top", "pelvis_mpii",
    "thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m", "nose", "left_eye", "right_eye", "left_ear", "right_ear",
)  # fmt: skip

# COCO's keypoints, and where each stands among the 24 joints.
COCO17_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
COCO_TO_J24 = (19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0)

# The vertices that smplx appends to the 24 joints, in its order, and the rows of the extra regressor after them.
PICKED_NAMES = (
    "nose", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel",
    "right_big_toe", "right_small_toe", "right_heel", "left_thumb", "left_index", "left_middle", "left_ring",
    "left_pinky", "right_thumb", "right_index", "right_middle", "right_ring", "right_pinky",
)  # fmt: skip
EXTRA_NAMES = (
    "right_hip_lsp", "left_hip_lsp", "neck_lsp", "head_top", "pelvis_mpii", "thorax_mpii", "spine_h36m", "jaw_h36m",
    "head_h36m",
)  # fmt: skip

# Rows of the Human3.6M regressor, in the order that the two maps below imply.
H36M_NAMES = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle", "spine", "neck", "jaw",
    "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
H36M_TO_J17 = (6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10, 0, 7, 9)
H36M_TO_J14 = H36M_TO_J17[:14]
J24_TO_J17 = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 18, 14, 16, 17)
# SPIN's: its head is Human3.6M's (18), which motion capture measures, and not LSP's top of the head (13).
J24_TO_J14 = J24_TO_J17[:14]

# Index maps of a mirrored person: mirrored[i] is original[FLIP[i]] with x negated (and, for axis-angle poses, y and z).
SMPL_FLIP = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)
OPENPOSE25_FLIP = (0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21)
J24_FLIP = (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18, 19, 21, 20, 23, 22)

# Limbs to draw: pairs of J24 joints.
J24_SKELETON = (
    (0, 1), (1, 2), (2, 14), (14, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 15), (15, 9), (9, 10), (10, 11),
    (14, 16), (16, 15), (15, 12), (12, 13), (12, 19), (19, 20), (19, 21), (20, 22), (21, 23),
)  # fmt: skip
