"""MoveNet Lightning (Google, Apache-2.0): COCO's 17 keypoints of the person nearest the middle of an image.

MobileNetV2, a pyramid that brings its maps to a quarter of the image's size, and CenterNet's heads (Zhou et al.,
"Objects as Points", 2019). The layers and how keypoints are read off the maps are those of the published graph;
`scripts/build_movenet.py` compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import interpolate

from hmr_light.backbones.mobilenet_v2 import features
from hmr_light.backbones.padding import pad_same
from hmr_light.backbones.state_dicts import State, extract_state, read_torch_file
from hmr_light.backbones.weights import MOVENET

HEADS = MOVENET.with_name("movenet_heads.pth")
"""The weights of all but the backbone, which is in `MOVENET`; `scripts/build_movenet.py` writes both."""

IMAGE_SIZE = 192
"""Side of the images, pixels."""
STRIDE = 4
"""Pixels of the image to a pixel of the maps, along a side."""
SOFTENING = 1.8
"""Pixels of the maps that are added to each distance that a score is divided by."""


class Maps(NamedTuple):
    """What the network makes of an image, at a quarter of its size; y comes before x."""

    centers: torch.Tensor
    """(B, 1, h, w): how sure a person's centre is there, 0…1."""
    regression: torch.Tensor
    """(B, 34, h, w): where the keypoints of a person with the centre there are, relative to it: y, x of each."""
    keypoints: torch.Tensor
    """(B, 17, h, w): how sure a keypoint is there, 0…1, whoever's it is."""
    offsets: torch.Tensor
    """(B, 34, h, w): from that pixel of the map to the keypoint: y, x of each."""


class MoveNet(nn.Module):
    """RGB images (B, 3, S, S) in -1 … 1 → `Maps`; S is a multiple of 32, and 192 in training."""

    def __init__(self) -> None:
        super().__init__()
        self.features, channels = features()
        pad_same(self.features)
        self.top = nn.Conv2d(channels, 64, 1)
        # Of the blocks 10, 6 and 3, the last ones at a sixteenth, an eighth and a quarter of the image's size.
        self.laterals = nn.ModuleDict({str(block): nn.Conv2d(n, n, 1) for block, n in ((10, 64), (6, 32), (3, 24))})
        self.merges = nn.ModuleDict({"10": separable(64, 32), "6": separable(32, 24), "3": separable(24, 24)})
        outputs = {"centers": 1, "regression": 34, "keypoints": 17, "offsets": 34}
        self.heads = nn.ModuleDict(
            {name: nn.Sequential(*separable(24, 96), nn.Conv2d(96, count, 1)) for name, count in outputs.items()}
        )

    def forward(self, images: torch.Tensor) -> Maps:
        taps, maps = {}, images
        for index, block in enumerate(self.features):
            taps[str(index)] = maps = block(maps)
        maps = self.top(maps)
        for name, lateral in self.laterals.items():
            larger = interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
            maps = self.merges[name](larger + lateral(taps[name]))
        found = {name: head(maps) for name, head in self.heads.items()}
        return Maps(found["centers"].sigmoid(), found["regression"], found["keypoints"].sigmoid(), found["offsets"])


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """A depthwise convolution without a bias, a 1×1 one, ReLU."""
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True))


def load_movenet(backbone: Path = MOVENET, heads: Path = HEADS) -> MoveNet:
    """The network with the weights in the package, float32, for evaluation."""
    with torch.device("meta"):  # random values would be drawn in vain
        network = MoveNet()
    state = {name: value.float() for path in (backbone, heads) for name, value in _state(path).items()}
    counters = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
    network.load_state_dict(state | dict.fromkeys(counters, torch.tensor(0)), assign=True)
    return network.eval()


def nearest_person(maps: Maps) -> torch.Tensor:
    """The keypoints (B, 17, 3) of the person nearest the middle of each image: x, y, score 0…1; see `keypoints_of`."""
    best = (maps.centers * center_weights(maps)).flatten(1).argmax(1)
    return keypoints_of(maps, torch.arange(len(best), device=best.device), best)


def center_weights(maps: Maps) -> torch.Tensor:
    """(h, w): by which the scores of centres are multiplied, so that those far from the middle count less."""
    height, width = maps.centers.shape[2:]
    middle = maps.centers.new_tensor([[height / 2, width / 2]])
    return 1 / (_distances(height, width, middle)[0] + SOFTENING)


def keypoints_of(maps: Maps, images: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
    """The keypoints (P, 17, 3) of people by their `centers` (P,) in the flattened maps of the `images` (P,).

    x and y are pixels from the image's corner. Of each keypoint's map it is the highest value over the distance from
    where the person's centre has the keypoint, so that the others' keypoints are farther away.
    """
    height, width = maps.centers.shape[2:]
    rows, columns = centers // width, centers % width
    guess = maps.regression[images, :, rows, columns].unflatten(1, (17, 2))
    guess = guess + torch.stack((rows, columns), 1)[:, None]
    distances = _distances(height, width, guess.flatten(0, 1)).unflatten(0, guess.shape[:2])
    heat = maps.keypoints[images]
    best = (heat / (distances + SOFTENING)).flatten(2).argmax(2)
    joints = torch.arange(17, device=best.device)
    rows, columns = best // width, best % width
    offsets = maps.offsets.unflatten(1, (17, 2))[images[:, None], joints, :, rows, columns]
    score = heat.flatten(2).gather(2, best[..., None])
    place = torch.stack((columns + offsets[..., 1], rows + offsets[..., 0]), 2)
    return torch.cat((STRIDE * place, score), 2)


def _distances(height: int, width: int, points: torch.Tensor) -> torch.Tensor:
    """From each pixel of the maps to `points` (P, 2), y and x: (P, h, w)."""
    rows = torch.arange(height, device=points.device)[:, None] - points[:, 0, None, None]
    columns = torch.arange(width, device=points.device) - points[:, 1, None, None]
    return (rows**2 + columns**2).sqrt()


def _state(path: Path) -> State:
    return extract_state(read_torch_file(path, "MoveNet's weights"))
