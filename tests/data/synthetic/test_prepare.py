from __future__ import annotations

import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.synthetic import contents, reference_config

from hmr_light.body import SMPL
from hmr_light.data.dataset import MeshDataset
from hmr_light.data.synthetic import SyntheticConfig, prepare, prepare_synthetic
from hmr_light.data.synthetic.config import SplitCounts
from hmr_light.errors import UserError


def test_the_result_does_not_depend_on_the_workers(
    config: SyntheticConfig, body: SMPL, rendered: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    summary = prepare_synthetic(replace(config, workers=1), body, alone)
    assert contents(alone) == contents(rendered)
    assert summary["splits"]["train"]["images"] == 24


PINNED = {
    "train": (
        "84dd3b8306319a8c269a7d4ab7bc806eedb84b5fa5b8ac8847e626c183fe3634",
        "605485499a8a916b74467b9829b9779dd8320eeb793759337dd5ab7089153c8d",
    ),
    "test-ood": (
        "9e06f4345ffcce040aff6d62c2ae897b43a198dddfcbee71a5260cf7af469b02",
        "d08377612b6d3a8354cd4711f7c48aee61a7bdd41e3bfe074169a1a10979929b",
    ),
}
"""Hashes of the images and of the annotations of synthetic-v1's first few, at 96 pixels."""


@pytest.fixture(scope="module")
def pinned(body: SMPL, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    config = reference_config(size=96, workers=1, counts=SplitCounts(train=8, val=0, test=0, test_ood=8))
    return prepare_synthetic(config, body, tmp_path_factory.mktemp("pinned") / "set")["splits"]


@pytest.mark.parametrize("split", PINNED)
def test_synthetic_v1_is_the_same_bytes_on_every_machine(split: str, pinned: dict[str, dict[str, str]]) -> None:
    """If this fails on purpose, the renderer is another: `prepare.VERSION` must change too."""
    found = pinned[split]
    assert found["version"] == prepare.VERSION == "synthetic-v1"
    assert (found["images_sha256"], found["annotations_sha256"]) == PINNED[split]


def test_a_stopped_run_goes_on_to_the_same_dataset(
    config: SyntheticConfig, body: SMPL, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "PART", 7)
    out = tmp_path / "stopped"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "save_annotations", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare_synthetic(config, body, out)
    assert not list(out.glob("*.npz"))
    (out / "parts" / "train-00000007.npz").unlink()
    kept = out / prepare.image_name("train", 0)
    written = kept.stat().st_mtime_ns
    shutil.rmtree(out / "val")  # not noticed, for its part is there: it must be left alone or the test below fails
    shutil.copytree(rendered / "val", out / "val")
    prepare_synthetic(config, body, out)
    assert contents(out) == contents(rendered)
    assert kept.stat().st_mtime_ns == written, "a finished part was rendered again"


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from hmr_light.body import load_body
from hmr_light.data.synthetic import prepare, prepare_synthetic
from support.synthetic import COUNTS, reference_config
if __name__ == "__main__":
    prepare.PART = 7
    prepare_synthetic(reference_config(seed=5, counts=COUNTS, workers=2), load_body(), Path({out!r}))
"""


def is_running(process: str) -> bool:
    """Whether there is a process of this number that is not merely unburied."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_dataset_and_leaves_no_process(
    config: SyntheticConfig, body: SMPL, rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, script = tmp_path / "killed", tmp_path / "run.py"
    script.write_text(KILLED.format(tests=str(Path(__file__).parents[2]), out=str(out)))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 240
    while not list(out.glob("parts/*.npz")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < give_up
        time.sleep(0.01)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    assert not (out / "dataset.json").exists()
    assert len(workers) >= 2
    give_up = time.monotonic() + 120
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < give_up, "rendering processes outlive their parent"
        time.sleep(0.05)
    monkeypatch.setattr(prepare, "PART", 7)
    prepare_synthetic(config, body, out)
    assert contents(out) == contents(rendered)


def test_a_finished_dataset_is_left_alone_and_another_refused(
    config: SyntheticConfig, body: SMPL, rendered: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in rendered.rglob("*")}
    prepare_synthetic(config, body, rendered)
    with pytest.raises(UserError, match="another seed"):
        prepare_synthetic(replace(config, seed=6), body, rendered)
    assert {path: path.stat().st_mtime_ns for path in rendered.rglob("*")} == before
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        prepare_synthetic(config, body, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_rendering_processes_load_no_torch() -> None:
    """Each would take seconds and hundreds of megabytes to start."""
    code = "import sys, hmr_light.data.synthetic.prepare; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_folder_that_cannot_be_written_is_named(config: SyntheticConfig, body: SMPL, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        prepare_synthetic(config, body, tmp_path / "file")
    with pytest.raises(UserError, match="file"):
        prepare_synthetic(config, body, tmp_path / "file" / "set")


def test_the_dataset_can_be_trained_on(rendered: Path, body: SMPL) -> None:
    dataset = MeshDataset(rendered / "train.npz", rendered, image_size=128)
    sample = dataset[3]
    assert sample["image"].shape == (3, 128, 128)
    assert sample["has_smpl"] == 1
    assert sample["keypoints_2d"][25:, :2].abs().median() < 1
