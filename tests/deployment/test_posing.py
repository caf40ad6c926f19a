from __future__ import annotations

import numpy as np
import pytest
import torch

from hmr_light.body import SMPL
from hmr_light.body.files import EMBEDDED_BODY, read_body
from hmr_light.deployment.posing import PosedBody


@pytest.mark.parametrize("posedirs", ["none", "random"])
def test_joints_and_vertices_are_the_bodys(posedirs: str) -> None:
    rng = np.random.default_rng()
    arrays = read_body(EMBEDDED_BODY)
    if posedirs == "random":
        arrays["posedirs"] = rng.normal(0, 0.01, arrays["posedirs"].shape).astype(np.float32)
    body = SMPL(arrays, "test")
    rotations = torch.linalg.qr(torch.from_numpy(rng.normal(size=(3, 24, 3, 3)).astype(np.float32)))[0]
    betas = torch.from_numpy(rng.normal(size=(3, 10)).astype(np.float32))
    expected = body(rotations, betas)
    joints, vertices = PosedBody(body, with_mesh=True)(rotations, betas)
    assert (joints - expected.joints).abs().max() < 2e-5  # metres
    assert (vertices - expected.vertices).abs().max() < 2e-5
    (alone,) = PosedBody(body, with_mesh=False)(rotations, betas)
    assert torch.equal(alone, joints)
