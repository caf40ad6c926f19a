"""People found by one of torchvision's detectors, when its weights are on this machine; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hmr_light.backbones.state_dicts import extract_state, read_torch_file
from hmr_light.deployment.runtime.boxes import Box, box_of_corner
from hmr_light.errors import UserError

# By torchvision's name, the file of its COCO weights; the lightest first.
DETECTORS = {
    "ssdlite320_mobilenet_v3_large": "ssdlite320_mobilenet_v3_large_coco-a79551df.pth",
    "fasterrcnn_mobilenet_v3_large_320_fpn": "fasterrcnn_mobilenet_v3_large_320_fpn-907ea3f9.pth",
    "fasterrcnn_mobilenet_v3_large_fpn": "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth",
    "fasterrcnn_resnet50_fpn": "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth",
    "fasterrcnn_resnet50_fpn_v2": "fasterrcnn_resnet50_fpn_v2_coco-dd69338a.pth",
}
_PERSON = 1  # COCO's category

Detector = Callable[[np.ndarray], list[Box]]


def detector_file() -> tuple[str, Path] | None:
    """The name and the weights of the most exact detector that lies in torch's cache; None for none."""
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    there = [(name, cache / file) for name, file in DETECTORS.items() if (cache / file).is_file()]
    return there[-1] if there else None


def load_detector(device: torch.device, score: float) -> Detector:
    """A function from an RGB image uint8 (H, W, 3) to the boxes of its people, by falling score.

    People that the detector is less sure of than `score` (0…1) are left out. Raises `UserError` when no weights are
    there, or when they are damaged.
    """
    found = detector_file()
    if found is None:
        cache = Path(torch.hub.get_dir()) / "checkpoints"
        raise UserError(
            f"no detector's weights lie in {cache}",
            f"Put one of torchvision's there ({', '.join(DETECTORS.values())}), or leave boxes out.",
        )
    import torchvision

    name, file = found
    try:
        state = extract_state(read_torch_file(file, f"weights of {name}"))
        model = torchvision.models.get_model(name, weights=None, weights_backbone=None)
        model.load_state_dict(state)
    except UserError:
        raise
    except Exception as error:  # what is no state dict, or another network's
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{file} cannot be read as weights of {name}: {reason}", "Fetch it again.") from error
    model.to(device).eval()

    @torch.no_grad()
    def detect(image: np.ndarray) -> list[Box]:
        pixels = torch.from_numpy(image).to(device).permute(2, 0, 1).float() / 255
        (output,) = model([pixels])
        sure = (output["labels"] == _PERSON) & (output["scores"] >= score)
        corners = output["boxes"][sure].cpu().tolist()
        return [box_of_corner(x, y, right - x, bottom - y) for x, y, right, bottom in corners]

    return detect
