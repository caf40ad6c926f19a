"""A study from the command line: killed anywhere, with several workers, and with mistakes."""

from __future__ import annotations

import json
import random
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial
from scipy.stats import rankdata
from support.child_processes import Child, ChildProcesses
from support.small_run import journal, run_folders, write_data
from support.spaces import write_small

from hmr_light.checkpoints.loading import load_checkpoint
from hmr_light.search.journal_file import JournalFile

TRIALS = 4


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and `search_space=small`."""
    folder = tmp_path_factory.mktemp("search")
    write_data(folder / "data")
    write_small(folder)
    return folder


def arguments(place: Path, outputs: Path, *more: str) -> list[str]:
    return [
        "search",
        f"--config-dir={place / 'conf'}",
        "search_space=small",
        "sampler=random",
        f"trials={TRIALS}",
        "tracking=journal",
        f"data.root={place / 'data'}",
        "data.workers=0",
        "trainer.device=cpu",
        "trainer.threads=1",
        "trainer.epochs=2",
        "trainer.batch_size=8",
        "trainer.checkpoint_steps=1",
        f"outputs={outputs}",
        *more,
    ]


def search(child_processes: ChildProcesses, *words: str, status: int = 0, **start: Any) -> Child:
    child = child_processes.start(*words, **start)
    assert child.wait() == status, child.said
    assert "Traceback" not in child.said
    return child


def trials_of(outputs: Path, name: str = "small-random") -> list[FrozenTrial]:
    storage = JournalStorage(JournalFile(outputs / "studies" / name / "study.jsonl"))
    return storage.get_all_trials(storage.get_study_id_from_name(name))


def outcome(outputs: Path) -> list[Any]:
    """What a study ends with, but for clocks and names of processes."""
    return [(one.number, one.state.name, one.values, one.user_attrs["network"]) for one in trials_of(outputs)]


@pytest.fixture(scope="module")
def whole(child_processes: ChildProcesses, place: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The outputs of an undisturbed study, and what it said."""
    outputs = tmp_path_factory.mktemp("whole")
    return outputs, search(child_processes, *arguments(place, outputs)).said


def test_every_trial_is_a_run_with_its_study_as_parent_and_its_own_seed(whole: tuple[Path, str]) -> None:
    outputs, said = whole
    assert "search_space=small: 384 networks" in said
    runs = run_folders(outputs)
    assert [one.name[14:] for one in runs] == [f"small-random-{number:04d}" for number in range(TRIALS)]
    for run_dir, trial in zip(runs, trials_of(outputs), strict=True):
        assert trial.user_attrs["run"] == run_dir.name
        tags: dict[str, str] = {}
        for entry in journal(run_dir):
            tags |= entry["values"] if entry["kind"] == "tags" else {}
        assert tags["hmr_light.parent_run"] == "small-random"
        errors = [
            entry["values"]["mpjpe_mm"]
            for entry in journal(run_dir)
            if entry["kind"] == "metrics" and "mpjpe_mm" in entry["values"]
        ]
        costs = next(e["values"] for e in journal(run_dir) if e["kind"] == "metrics" and "macs" in e["values"])
        assert trial.values == [min(errors), costs["macs"]]
        assert trial.user_attrs["costs"]["parameters"] == costs["parameters_folded"]
    own = journal(outputs / "studies" / "small-random")
    assert [entry["step"] for entry in own if entry["kind"] == "metrics"] == [*range(1, TRIALS + 1)]


def test_the_errors_are_ranked_against_what_the_networks_cost(whole: tuple[Path, str]) -> None:
    outputs, said = whole
    trials = trials_of(outputs)
    (line,) = (one for one in said.splitlines() if f"of {TRIALS} errors with what the networks cost" in one)
    for cost in ("parameters", "macs"):
        ranks = [
            rankdata([one.values[0] for one in trials]),
            rankdata([one.user_attrs["costs"][cost] for one in trials]),
        ]
        assert f"{cost} {np.corrcoef(ranks)[0, 1]:.2f}" in line


def test_networks_that_predict_the_same_for_every_image_are_told(
    whole: tuple[Path, str], place: Path, child_processes: ChildProcesses, tmp_path: Path
) -> None:
    outputs, _ = whole
    for run_dir, trial in zip(run_folders(outputs), trials_of(outputs), strict=True):
        found = [one["values"] for one in journal(run_dir) if one["kind"] == "checkpoint"]
        best = min(found, key=lambda values: values["mpjpe_mm"])
        assert trial.user_attrs["constant"] == (best["spread_mm"] < 0.05 * best["spread_labels_mm"])
    words = arguments(place, tmp_path, "optimizer.learning_rate=1e-12", "trials=2")
    said = search(child_processes, *words).said  # as they were drawn
    front = (tmp_path / "studies" / "small-random" / "front.csv").read_text().splitlines()[1:]
    assert f"warning: {len(front)} of the {len(front)} networks below predict nearly the same" in said


def test_the_report_names_the_front_and_a_winner_is_trained_as_it_is(
    whole: tuple[Path, str], place: Path, child_processes: ChildProcesses, tmp_path: Path
) -> None:
    outputs, said = whole
    folder = outputs / "studies" / "small-random"
    trials = trials_of(outputs)
    best = [
        one.number
        for one in trials
        if not any(
            all(a <= b for a, b in zip(other.values, one.values, strict=True)) and other.values != one.values
            for other in trials
        )
    ]
    rows = (folder / "front.csv").read_text().splitlines()[1:]
    assert sorted(int(row.partition(",")[0]) for row in rows) == best
    assert len((folder / "trials.csv").read_text().splitlines()) == TRIALS + 1
    assert (folder / "front.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "front.svg").read_text()
    printed = said.partition("train the first of them: ")[2].splitlines()[0]
    words = shlex.split(printed)[1:]
    more = [one for one in arguments(place, tmp_path)[6:] if not one.startswith("tracking=")]
    search(child_processes, *words, *more, "trainer.epochs=0")
    (run_dir,) = run_folders(tmp_path)
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    number = int(words[-2].rpartition("-")[2] if "experiment" in words[-2] else words[-1].rpartition("-")[2])
    nodes = json.loads(trials[number].user_attrs["nodes"])
    assert {key: config["backbone"][key] for key in ("stem", "stages", "head")} == {
        key: nodes["backbone"][key] for key in ("stem", "stages", "head")
    }
    assert config["regressor"] == nodes["regressor"]
    assert config["data"]["image_size"] == nodes["image_size"]
    costs = next(e["values"] for e in journal(run_dir) if e["kind"] == "metrics" and "macs" in e["values"])
    assert costs["macs"] == trials[number].user_attrs["costs"]["macs"]


@pytest.mark.parametrize(
    "at",
    [
        ("hmr_light.training.loop:forward", 4),
        pytest.param(("hmr_light.search.study:Study.take", 1), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.study:Study.take", 3), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.study:Study.finish", 2), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.journal_file:JournalFile.append_logs", 2), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.journal_file:JournalFile.append_logs", 9), marks=pytest.mark.slow),
        pytest.param(("hmr_light.training.run_directory:create", 2), marks=pytest.mark.slow),
        pytest.param(("hmr_light.training.run:describe_run", 2), marks=pytest.mark.slow),
        pytest.param(("hmr_light.tracking.tracker:Tracker.finish", 3), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.trials:_log", 2), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.reports:write_winner", 1), marks=pytest.mark.slow),
    ],
)
def test_a_study_that_was_killed_ends_as_an_undisturbed_one(
    at: tuple[str, int], child_processes: ChildProcesses, place: Path, whole: tuple[Path, str], tmp_path: Path
) -> None:
    search(child_processes, *arguments(place, tmp_path), status=-9, at=at)
    search(child_processes, *arguments(place, tmp_path))
    assert outcome(tmp_path) == outcome(whole[0])
    told = len(run_folders(tmp_path))
    search(child_processes, *arguments(place, tmp_path))
    assert len(run_folders(tmp_path)) == told, "nothing is done twice"
    assert outcome(tmp_path) == outcome(whole[0])


def test_two_workers_share_a_study_and_one_that_is_killed_leaves_nothing_undone(
    child_processes: ChildProcesses, place: Path, tmp_path: Path
) -> None:
    words = arguments(place, tmp_path, "trials=6")
    first, second = child_processes.start(*words), child_processes.start(*words)
    deadline = time.monotonic() + 300
    while len(run_folders(tmp_path)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(random.uniform(0, 1))
    first.kill(signal.SIGKILL)
    first.wait()
    assert second.wait() == 0, second.said
    trials = trials_of(tmp_path)
    assert [one.state.name for one in trials] == ["COMPLETE"] * 6
    assert len({one.user_attrs["network"] for one in trials}) == 6
    begun = [one for one in run_folders(tmp_path) if (one / "journal.jsonl").is_file()]
    ended = [one for one in begun if journal(one)[-1].get("status") == "FINISHED"]
    assert sorted(one.user_attrs["run"] for one in trials) == sorted(one.name for one in ended)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["budget.macs=1000"], "no network of search_space=small was found within the budget (macs 1,000)"),
        (["budget.parameters=1e9", "budget.latency=1e-9"], "within budget.latency=1e-09"),
        (["search_space.stages=[{out: 24, blocks: {block: convo}}]"], "blocks.block=convo does not exist"),
        (["objectives=[macs]"], "objectives=macs is not allowed"),
        (["storage=mysql://here"], "storage=mysql is not a choice"),
        (["objective=distillation"], "needs the model to learn from"),
        (["data.root=/nowhere"], "/nowhere"),
    ],
)
def test_a_mistake_is_told_and_leaves_nothing(
    more: list[str], says: str, child_processes: ChildProcesses, place: Path, tmp_path: Path
) -> None:
    said = search(child_processes, *arguments(place, tmp_path, *more), status=2).said
    assert says in said
    assert list(tmp_path.iterdir()) == []


def test_a_trial_among_the_worst_ends_early(child_processes: ChildProcesses, place: Path, tmp_path: Path) -> None:
    words = arguments(place, tmp_path, "stopping.share=0.5", "stopping.after=2", "trials=3")
    said = search(child_processes, *words).said
    trials = trials_of(tmp_path)
    errors = [one.user_attrs["errors"]["1"] for one in trials]
    assert trials[0].state.name == "COMPLETE"
    for number, one in enumerate(trials[1:], 1):
        worse = sum(other > errors[number] for other in errors[:number])
        stopped = worse < int(0.5 * (number + 1))
        assert one.state.name == ("PRUNED" if stopped else "COMPLETE")
        assert (len(one.user_attrs["errors"]), one.user_attrs["ends at 1"]) == (1, stopped)
    assert f"{sum(one.state.name == 'PRUNED' for one in trials)} ended early" in said


def test_a_space_says_its_size_without_training(child_processes: ChildProcesses, place: Path, tmp_path: Path) -> None:
    said = search(child_processes, *arguments(place, tmp_path, "trials=0", "data.root=/nowhere")).said
    assert "384 networks" in said
    assert "study small-random: 0 trained" in said


def supernet(place: Path, outputs: Path, *more: str) -> list[str]:
    return arguments(place, outputs, "method=supernet", "trials=12", "supernet.images=64", *more)


SUPERNET = "small-supernet-random"


@pytest.fixture(scope="module")
def measured(child_processes: ChildProcesses, place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of an undisturbed study by a supernet."""
    outputs = tmp_path_factory.mktemp("supernet")
    assert "12 of 12 networks" in search(child_processes, *supernet(place, outputs)).said
    return outputs


def test_a_supernet_is_trained_once_and_its_networks_are_measured(
    measured: Path, place: Path, child_processes: ChildProcesses
) -> None:
    folder = measured / "studies" / SUPERNET
    losses = [entry for entry in journal(folder / "supernet") if "loss/total" in entry.get("values", {})]
    assert [entry["step"] for entry in losses] == [1, 2]
    assert not run_folders(measured), "no network is trained by itself"
    trials = trials_of(measured, SUPERNET)
    assert len({one.values[0] for one in trials}) > 1
    front = {row.partition(",")[0] for row in (folder / "front.csv").read_text().splitlines()[1:]}
    weights = sorted((folder / "weights").glob("*/*.pt"))
    assert {str(int(one.stem.rpartition("-")[2])) for one in weights} == front
    data = [f"data.root={place / 'data'}", "data=synthetic", "data.workers=0"]
    for one in weights[:1]:  # an ordinary checkpoint, with the error that the study has
        trial = trials[int(one.stem.rpartition("-")[2])]
        held = load_checkpoint(one)
        assert held.metrics["mpjpe_mm"] == trial.values[0]
        before = (folder / "journal.jsonl").read_bytes()
        said = search(child_processes, "evaluate", f"checkpoint={one}", *data, "tracking=journal").said
        assert (folder / "journal.jsonl").read_bytes() == before, "its figures are not the study's"
        (scored,) = (line for line in said.splitlines() if line.startswith("(0)"))
        assert float(scored.split()[4]) == pytest.approx(trial.values[0], abs=0.1)


@pytest.mark.parametrize(
    "at",
    [
        ("hmr_light.training.loop:forward", 3),
        pytest.param(("hmr_light.search.supernet:_Report.epoch", 2), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.study:Study.keep", 1), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.candidates:Candidates.figures", 5), marks=pytest.mark.slow),
        pytest.param(("hmr_light.search.candidates:Candidates.write", 1), marks=pytest.mark.slow),
    ],
)
def test_a_supernet_that_was_killed_ends_as_an_undisturbed_one(
    at: tuple[str, int], child_processes: ChildProcesses, place: Path, measured: Path, tmp_path: Path
) -> None:
    search(child_processes, *supernet(place, tmp_path), status=-9, at=at)
    search(child_processes, *supernet(place, tmp_path))
    ended = [
        [(one.values, one.user_attrs["network"]) for one in trials_of(home, SUPERNET)] for home in (tmp_path, measured)
    ]
    assert ended[0] == ended[1]
    entries = journal(tmp_path / "studies" / SUPERNET / "supernet")
    assert [one["step"] for one in entries if "loss/total" in one.get("values", {})] == [1, 2]
    assert entries[-1].get("status") == "FINISHED"


@pytest.mark.slow
def test_two_workers_share_one_supernet(child_processes: ChildProcesses, place: Path, tmp_path: Path) -> None:
    words = supernet(place, tmp_path)
    both = [child_processes.start(*words) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0], [one.said for one in both]
    trials = trials_of(tmp_path, SUPERNET)
    assert len({one.user_attrs["network"] for one in trials}) == len(trials) == 12
    assert sum("shared parameters" in one.said for one in both) == 1


def test_networks_are_measured_again_by_a_supernet_that_is_there(
    measured: Path, place: Path, child_processes: ChildProcesses
) -> None:
    again = ["study=again", f"networks={SUPERNET}", f"supernet.study={SUPERNET}", "seed=1"]
    said = search(child_processes, *supernet(place, measured, *again)).said
    assert "shared parameters" not in said, "nothing is trained"
    assert f"rank correlation (Spearman) of 12 errors with study {SUPERNET}: " in said
    pairs = zip(trials_of(measured, SUPERNET), trials_of(measured, "again"), strict=True)
    assert all(one.user_attrs["network"] == other.user_attrs["network"] for one, other in pairs)
    page = (measured / "studies" / "again" / "front.html").read_text()
    assert page.count("<svg") == page.count("</svg>") == page.count("</html>") == 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["stopping.share=0.3"], "stopping.share=0.3"),
        (["trainer.freeze_backbone=1"], "trainer.freeze_backbone"),
        (["search_space.image_size=[64,96]"], "several sizes in search_space.image_size"),
        (["~data.evaluation"], "data.evaluation"),
    ],
)
def test_what_does_not_go_with_a_supernet_is_refused(
    more: list[str], says: str, child_processes: ChildProcesses, place: Path, tmp_path: Path
) -> None:
    said = search(child_processes, *supernet(place, tmp_path, *more), status=2).said
    assert f"method=supernet does not go with {says}" in said
    assert not list(tmp_path.iterdir())
