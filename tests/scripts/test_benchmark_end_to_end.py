"""The times from a photograph to joints: SPIN's crop, what is measured once and for all, and how times are compared."""

from __future__ import annotations

import json
from pathlib import Path

import benchmark_end_to_end as script
import cv2
import numpy as np
import pytest
from support.exported import NODES

from hmr_light.body import load_body
from hmr_light.body.files import EMBEDDED_BODY
from hmr_light.deployment import runtime
from hmr_light.deployment.runtime.boxes import Box
from hmr_light.model.finder import PeopleFinder
from hmr_light.model.hmr import build_model
from hmr_light.paths import sample_photograph


def test_spins_crop_is_the_box_at_whole_pixels_with_its_values_stretched() -> None:
    rng = np.random.default_rng()
    low, high = int(rng.integers(0, 100)), int(rng.integers(150, 256))
    image = rng.integers(low, high, (260, 300, 3), np.uint8)
    x, y = rng.integers(100, 200, 2)  # the box may leave the image; one of 224 pixels is not resized
    crop = script.spin_crop(image, Box(np.array([x, y]) - 0.5, 224 / 200), with_pillow=True)
    square = np.pad(image, ((112, 112), (112, 112), (0, 0)))[y : y + 224, x : x + 224].astype(float)
    expected = 255 * (square - square.min()) / np.ptp(square)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    values = 255 * (crop.numpy().transpose(1, 2, 0) * std + mean)
    assert np.abs(values - expected).max() < 0.51  # rounded to whole numbers


def test_each_photograph_of_one_person_is_measured_once(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    man = cv2.imread(str(sample_photograph()))
    for number, size in enumerate((512, 400, 300)):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), cv2.resize(man, (size, size), interpolation=cv2.INTER_AREA))
    cv2.imwrite(str(tmp_path / "3.jpg"), np.full((200, 300, 3), 128, np.uint8))
    photographs = sorted(tmp_path.glob("*.jpg"))
    finder, model = PeopleFinder(), script.Timed(runtime.load_model(exported))
    predictor = runtime.Predictor(model, runtime.load_body(EMBEDDED_BODY), finder=finder)  # type: ignore[arg-type]
    ways = {
        f"{script.SPIN}Pillow": script.Spin(build_model(NODES).eval(), load_body(), True),
        "ours": script.Ours(predictor, model, script.HALF),
    }
    kept = tmp_path / "times.json"
    monkeypatch.setattr(script, "BLOCK", 3)
    results = script.measure(photographs, ways, finder, kept, 4)
    assert list(results) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert results["3.jpg"] is None
    for name in ("0.jpg", "1.jpg", "2.jpg"):
        times = results[name]["times"]
        assert list(times) == list(ways)
        assert set(times["ours"]) == set(script.STAGES)
        assert set(times[f"{script.SPIN}Pillow"]) == set(script.STAGES) - {"find"}
        assert min(seconds for one in times.values() for seconds in one.values()) >= 0
        assert times["ours"]["network"] > 0
    for path in photographs:
        path.unlink()  # what is known is not looked at again
    assert script.measure(photographs, ways, finder, kept, 4) == results == json.loads(kept.read_text())
    assert list(script.measure(photographs, ways, finder, kept, 2)) == ["0.jpg", "1.jpg"]


def test_ratios_are_of_all_stages_and_without_finding_where_the_box_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spin = {"decode": 0.01, "crop": 0.02, "network": 0.11, "joints": 0.01}
    ours = {"decode": 0.01, "find": 0.02, "crop": 0.004, "network": 0.008, "joints": 0.008}
    one = {"times": {f"{script.SPIN}Pillow": spin, "ours": ours}, "load": 1.5, "share": 0.5}
    page = tmp_path / "page.md"
    page.write_text(f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n")
    monkeypatch.setattr(script, "PAGE", page)
    script.write_page({"a": one, "b": None, "c": one})
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| ours | 10.0 | 20.0 | 4.0 | 8.0 | 8.0 | 50.0 | 3.0 (3.0–3.0) | 5.0 (5.0–5.0) |" in text
    assert "2 photographs; 1 more were left out" in text


@pytest.mark.slow
def test_the_rendered_photographs_are_the_same_each_time_and_show_one_person(tmp_path: Path) -> None:
    first, again = ([next(script.rendered(tmp_path / name)).read_bytes()] for name in ("a", "b"))
    assert first == again
    image = cv2.imdecode(np.frombuffer(first[0], np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image.shape == (1080, 1920, 3)
    assert len(PeopleFinder().find(image)) == 1
