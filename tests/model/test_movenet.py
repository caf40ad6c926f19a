"""MoveNet finds what the published graph finds."""

from __future__ import annotations

import numpy as np
import torch
from support.figures import FIGURE, KEYPOINTS

from hmr_light.model.movenet import keypoints_of, load_movenet, nearest_person


@torch.no_grad()
def test_keypoints_and_scores_are_those_of_the_published_graph() -> None:
    image = torch.from_numpy(FIGURE).permute(2, 0, 1)
    other = torch.randint(256, image.shape)
    network = load_movenet()
    maps = network(torch.stack([other, image]) / 127.5 - 1)
    found = nearest_person(maps)[1].numpy()
    np.testing.assert_allclose(found[:, :2], KEYPOINTS[:, :2], atol=1e-3)
    np.testing.assert_allclose(found[:, 2], KEYPOINTS[:, 2], atol=1e-4)
    # The person is the same when it is named by its centre.
    center = maps.centers[1].flatten().argmax()
    again = keypoints_of(maps, torch.tensor([1]), center[None])[0]
    np.testing.assert_array_equal(again, found)
