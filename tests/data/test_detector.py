"""People found by a detector whose weights are on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hmr_light.data.detector import DETECTORS, load_detector
from hmr_light.errors import UserError


def test_without_a_detectors_weights_the_remedy_names_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"no detector's weights.*\n.*ssdlite320_mobilenet_v3_large_coco-a79551df\.pth"):
        load_detector(torch.device("cpu"), 0.5)


@pytest.mark.slow
def test_a_detector_whose_weights_are_there_is_used_and_a_damaged_one_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision

    for name, file in DETECTORS.items():
        assert torchvision.models.get_model_weights(name)["COCO_V1"].url.endswith(f"/{file}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = "ssdlite320_mobilenet_v3_large"
    file = tmp_path / "hub" / "checkpoints" / DETECTORS[name]
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None)
    for key, bias in model.state_dict().items():
        if "classification_head" in key and key.endswith("bias") and len(bias) % 91 == 0:
            bias.view(-1, 91)[:, 1] += 2  # random weights that see people
    torch.save(model.state_dict(), file)
    image = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    with torch.no_grad():
        (output,) = model.eval()([torch.from_numpy(image).permute(2, 0, 1).float() / 255])
    least = float(output["scores"][output["labels"] == 1].median())
    boxes = load_detector(torch.device("cpu"), least)(image)
    expected = output["boxes"][(output["labels"] == 1) & (output["scores"] >= least)].numpy()
    assert len(boxes) == len(expected) > 0
    centers = (expected[:, :2] + expected[:, 2:]) / 2 - 0.5
    np.testing.assert_allclose([box.center for box in boxes], centers, atol=1e-3)
    file.write_bytes(b"damaged")
    with pytest.raises(UserError, match="cannot be read as weights"):
        load_detector(torch.device("cpu"), 0.5)
