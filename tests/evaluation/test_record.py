"""How a set was evaluated is recorded in the run, and read again."""

from __future__ import annotations

from pathlib import Path

from support.cli import compose
from support.small_run import write_data

from hmr_light.checkpoints.format import Checkpoint
from hmr_light.data.annotations import fingerprint
from hmr_light.data.dataset import MeshDataset
from hmr_light.evaluation.record import evaluation_tags, recorded_options
from hmr_light.tracking import start_tracking


def test_the_options_of_the_newest_evaluation_are_read_again(home: Path, tmp_path: Path) -> None:
    data, run_dir = write_data(tmp_path / "data"), tmp_path / "run"
    dataset = MeshDataset(data / "val.npz", data, image_size=64)
    checkpoint = Checkpoint(run_dir / "checkpoints" / "epoch-001.pt", {"protocol": {"name": "lsp14"}}, 1, "", {}, {})
    run_dir.mkdir()
    assert recorded_options(run_dir, "val") == {}
    with start_tracking(run_dir, experiment="e", uri=None, run_name="r") as tracker:
        for batch_size in (3, 5):
            config = compose("evaluate", f"run={run_dir}", f"batch_size={batch_size}", "out=/elsewhere")
            tracker.tags(evaluation_tags(config, checkpoint, {"val": dataset}))
        other = compose("evaluate", f"run={run_dir}", "protocol=h36m_p1")
        tags = evaluation_tags(other, checkpoint, {"val": dataset})
        assert fingerprint(dataset.annotations) in tags["hmr_light.evaluation.val:h36m_p1"]
        tracker.tags(tags)
    found = recorded_options(run_dir, "val")
    assert (found["batch_size"], found["protocol"]) == (5, {"name": "lsp14"})
    assert not {"fingerprint", "run", "out", "tracking"} & found.keys()
    assert recorded_options(run_dir, "val:h36m_p1")["protocol"] == {"name": "h36m_p1"}
    assert recorded_options(run_dir, "test") == {}
