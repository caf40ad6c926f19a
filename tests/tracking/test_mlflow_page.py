"""MLflow's pages as a user opens them: runs, charts, a run, models, and two runs side by side."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from support.browser import ARGUMENTS, CHROMIUM, NO_CHROMIUM
from support.ports import free_port
from support.stores import store_in

from hmr_light.tracking import start_tracking
from hmr_light.tracking.description import DESCRIPTION, describe, run_name
from hmr_light.tracking.replay import replay

pytestmark = pytest.mark.browser

# As the page shows them: it rounds to a few digits.
FIGURES = {
    "mobilenet_v2": {
        "best/mpjpe_mm": "87.25",
        "best/reconstruction_error_mm": "61.5",
        "parameters": "5901189",
        "inference_time_s": "0.019",
    },
    "squeezenet1_0": {
        "best/mpjpe_mm": "93.75",
        "best/reconstruction_error_mm": "66.13",
        "parameters": "5255517",
        "inference_time_s": "0.031",
    },
}
# What else a run has to say: MLflow shows its metrics in a small window of their own, to be scrolled.
OTHERS = [
    "best/epoch", "images_per_second", "inference_time_p95_s", "learning_rate", "loss/betas", "loss/camera",
    "loss/keypoints_2d", "loss/keypoints_3d", "loss/pose", "loss/total", "macs", "mpjpe_mm", "parameters_backbone",
    "parameters_regressor", "pve_mm", "reconstruction_error_mm", "test/mpjpe_mm", "test/pve_mm",
    "test/reconstruction_error_mm",
]  # fmt: skip


@pytest.fixture
def run_ids(home: Path) -> list[str]:
    """Two runs in a store."""
    ids = []
    for row, shown in FIGURES.items():
        figures = dict.fromkeys(OTHERS, 1.0) | {name: float(value) for name, value in shown.items()}
        run_dir = home / "outputs" / row
        of_set = [name for name in figures if name.endswith("_mm") and not name.startswith("best/")]
        figures |= {f"synthetic/{name}": figures[name] for name in of_set}
        name = run_name(row, 0, "260101-120000")
        with start_tracking(run_dir, experiment="hmr_light", uri=None, run_name=name) as tracker:
            params = {"backbone.name": row, "seed": 0, "data.evaluation.synthetic.annotations": "val.npz"}
            tracker.params(params)
            tracker.tags({"hmr_light.row": row, DESCRIPTION: describe(params, {"body": "embedded"})})
            tracker.dataset("synthetic", context="training", path=run_dir, people=9, fingerprint="0123456789abcdef" * 4)
            tracker.metrics(figures, step=1)
            (run_dir / "epoch-001.pt").write_text(row)
            tracker.checkpoint(run_dir / "epoch-001.pt", epoch=1, saved="260101-120500", metrics=figures)
        ids.append(replay(run_dir, store_in(home)).run_id)
    return ids


@pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)
def test_two_runs_are_compared_by_their_headline_figures(home: Path, run_ids: list[str], tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    port = free_port()
    command = [sys.executable, "-m", "hmr_light", "ui", f"port={port}"]
    environment = {**os.environ, "HMR_LIGHT_HOME": str(home)}
    ui = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert ui.stdout is not None
        address = ui.stdout.readline().split()[3]
        assert address.startswith(f"http://127.0.0.1:{port}/")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch_persistent_context(
                tmp_path / "profile",
                executable_path=CHROMIUM,
                args=ARGUMENTS,
                viewport={"width": 1400, "height": 1600},
            )
            page = browser.new_page()
            page.goto(address, timeout=60_000)
            for row in FIGURES:
                page.get_by_text(f"s0 {row} 26010").first.wait_for(timeout=60_000)
            for name in FIGURES["mobilenet_v2"]:  # the table's columns come first, and no others
                assert page.get_by_role("columnheader", name=name, exact=True).first.is_visible(), name
            assert not page.get_by_role("columnheader", name="learning_rate").first.is_visible()
            names = page.get_by_text(re.compile(r"^s0 (mobilenet_v2|squeezenet1_0) 260101")).all_inner_texts()
            assert [name.split()[1] for name in names] == ["mobilenet_v2", "squeezenet1_0"], "the best is not the first"
            page.screenshot(path=tmp_path / "experiment.png")

            page.locator("label:has([value='CHART'])").first.click()
            page.get_by_text("Headline figures").first.wait_for(timeout=60_000)
            sections = page.get_by_text(re.compile(r"^(best|Headline figures|Training)( \(\d+\))?$")).all_inner_texts()
            assert sections[0].startswith("Headline figures"), sections
            for name in FIGURES["mobilenet_v2"]:  # as bars, and as axes of one plot
                page.get_by_text(name, exact=True).first.wait_for(timeout=60_000, state="attached")
            page.screenshot(path=tmp_path / "charts.png")

            page.goto(f"http://127.0.0.1:{port}/#/experiments/1/runs/{run_ids[0]}")
            page.get_by_text("backbone mobilenet_v2").first.wait_for(timeout=60_000)
            page.get_by_text("synthetic (0123456789abcdef").first.wait_for(timeout=60_000)
            page.screenshot(path=tmp_path / "run.png")

            page.goto(f"http://127.0.0.1:{port}/#/experiments/1/models")
            for row in FIGURES:
                page.get_by_text(f"{row}-1", exact=True).first.wait_for(timeout=60_000)
            page.screenshot(path=tmp_path / "models.png")

            page.goto(f"http://127.0.0.1:{port}/#/compare-runs?runs={quote(json.dumps(run_ids))}&experiments=[%221%22]")
            page.get_by_text("inference_time_s").first.wait_for(timeout=60_000)
            page.screenshot(path=tmp_path / "compare.png", full_page=True)
            page.get_by_text("learning_rate", exact=True).first.hover()
            seen = set()
            for _ in range(8):
                section = page.inner_text("body").partition("Run details")[2].partition("Metrics")[2]
                seen |= set(section.partition("Artifacts")[0].split())
                page.mouse.wheel(0, 150)
                page.wait_for_timeout(500)
            browser.close()
    finally:
        ui.send_signal(signal.SIGTERM)
        ui.wait(300)
    for figures in FIGURES.values():
        assert {*figures, *figures.values()} <= seen, seen
    assert not [name for name in seen if name.startswith("synthetic/")], "a figure stands there twice"
