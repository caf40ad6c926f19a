"""Which rows the table has, in which order, and whose figures they show."""

from __future__ import annotations

import math
import random

import pytest
from support.records import checkpoint, run

from hmr_light.errors import UserError
from hmr_light.reports.rows import make_rows
from hmr_light.tracking.records import CheckpointRecord, Point, RunRecord


def test_rows_are_grouped_by_model_in_order_of_start_with_the_latest_epoch_first() -> None:
    runs = [run("a", "late_name"), run("b", "early_name"), run("c", "late_name")]
    checkpoints = [checkpoint(i, epoch, val=1.0) for i in "cab" for epoch in (2, 10, 9)]
    random.Random(0).shuffle(checkpoints)
    rows = make_rows(runs, checkpoints, "all")
    assert [(row.model, row.epoch) for row in rows] == [
        *[("late_name", epoch) for epoch in (10, 10, 9, 9, 2, 2)],
        *[("early_name", epoch) for epoch in (10, 9, 2)],
    ]


@pytest.mark.parametrize("seed", range(20))
def test_best_and_last_are_one_checkpoint_a_run(seed: int) -> None:
    draw = random.Random(seed)
    runs = [run(str(number), f"m{number % 3}") for number in range(7)]
    errors = {r.run_id: [float(draw.randrange(50, 60)) for _ in range(draw.randrange(1, 8))] for r in runs}
    checkpoints = [checkpoint(i, epoch, val=error) for i, each in errors.items() for epoch, error in enumerate(each)]
    draw.shuffle(checkpoints)
    best = {row.run_id: (row.epoch, row["mpjpe_mm"]) for row in make_rows(runs, checkpoints, "best")}
    last = {row.run_id: (row.epoch, row["mpjpe_mm"]) for row in make_rows(runs, checkpoints, "last")}
    for run_id, each in errors.items():
        lowest = min(each)
        latest_of_equals = max(epoch for epoch, error in enumerate(each) if error == lowest)
        assert best[run_id] == (latest_of_equals, lowest), f"seed {seed}"
        assert last[run_id] == (len(each) - 1, each[-1]), f"seed {seed}"


def test_the_best_is_chosen_on_the_validation_set_and_shown_on_the_test_set() -> None:
    # Chosen by the test set, epoch 1 would win; but only a chosen checkpoint may be tested.
    checkpoints = [checkpoint("a", 1, val=90.0, test=10.0), checkpoint("a", 2, val=80.0, test=120.0)]
    (row,) = make_rows([run("a")], checkpoints, "best")
    assert (row.epoch, row["mpjpe_mm"], row["reconstruction_error_mm"], row["pve_mm"]) == (2, 120.0, 60.0, 240.0)
    assert row.evaluated_on == "test"


def test_all_rows_show_errors_on_one_set() -> None:
    tested = [checkpoint("a", 1, val=90.0), checkpoint("a", 2, val=80.0, test=120.0)]
    rows = make_rows([run("a")], tested, "all")
    assert [(row.epoch, row["mpjpe_mm"], row.evaluated_on) for row in rows] == [(2, 80.0, "val"), (1, 90.0, "val")]
    other = [checkpoint("b", 1, other=70.0)]
    rows = make_rows([run("a"), run("b")], tested + other, "all")
    assert [row["mpjpe_mm"] for row in rows if row.run_id == "b"] == [None]


def test_the_set_can_be_chosen() -> None:
    checkpoints = [checkpoint("a", 1, val=90.0, test=95.0, test_ood=130.0), checkpoint("b", 1, val=80.0)]
    runs = [run("a"), run("b")]
    rows = make_rows(runs, checkpoints, "best", "test_ood")
    assert {(row.run_id, row["mpjpe_mm"], row.evaluated_on) for row in rows} == {
        ("a", 130.0, "test_ood"), ("b", None, "test_ood"),
    }  # fmt: skip
    with pytest.raises(UserError, match=r"no checkpoint has errors on 'test_odd'\n.*Did you mean 'test_ood'"):
        make_rows(runs, checkpoints, "best", "test_odd")


def test_the_newest_measurement_of_a_figure_counts() -> None:
    old, new = Point("val/mpjpe_mm", 90.0, 1), Point("val/mpjpe_mm", 89.0, 2)
    tags = {"epoch": "1", "saved": "260101-000000"}
    for points in ([old, new], [new, old]):
        (row,) = make_rows([run("a")], [CheckpointRecord("a", tags, points)], "all")
        assert row["mpjpe_mm"] == 89.0


def test_a_row_is_traceable() -> None:
    stored = RunRecord(
        "run-id",
        "name",
        "FINISHED",
        0,
        {"seed": "3", "data.fingerprint": "f" * 64},
        {
            "hmr_light.row": "m",
            "hmr_light.git_commit": "c" * 40,
            "hmr_light.protocol": "3dpw-j14",
            "hmr_light.device": "a processor",
            "hmr_light.body": "embedded",
        },
        {"parameters": 5901189.0, "inference_time_s": 0.0123},
    )
    (row,) = make_rows([stored], [checkpoint("run-id", 5, saved="260102-030405", val=77.0)], "all")
    assert row.pt == "(5)260102-030405"
    assert row["parameters"] == 5901189
    assert row["inference_time_s"] == 0.0123
    assert (row.run_id, row.checkpoint, row.sha256) == ("run-id", "/runs/run-id/5.pt", f"{5:064x}")
    assert (row.data_fingerprint, row.git_commit, row.protocol) == ("f" * 64, "c" * 40, "3dpw-j14")
    assert (row.seed, row.device, row.body) == ("3", "a processor", "embedded")


@pytest.mark.parametrize(
    ("tags", "params", "expected"),
    [
        (
            {"hmr_light.evaluation.val": '{"seed": 1, "fingerprint": "e"}'},
            {"data.evaluation.val.fingerprint": "t"},
            "e",
        ),
        ({}, {"data.evaluation.val.fingerprint": "t"}, "t"),
        ({"hmr_light.evaluation.val": '{"seed": 1}'}, {"data.evaluation.val.fingerprint": "t"}, ""),
        ({"hmr_light.evaluation.val:other": '{"fingerprint": "e"}'}, {}, ""),
        ({"hmr_light.evaluation.val": "[1"}, {}, ""),
        ({"hmr_light.evaluation.val": "[1]"}, {}, ""),
    ],
)
def test_the_set_that_was_evaluated_on_is_known_where_the_run_says(
    tags: dict[str, str], params: dict[str, str], expected: str
) -> None:
    stored = RunRecord("a", "name", "FINISHED", 0, params, tags, {})
    (row,) = make_rows([stored], [checkpoint("a", 1, val=77.0)], "all")
    assert row.evaluation_fingerprint == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.7976931348623157e308])
def test_a_figure_that_is_no_number_is_missing(value: float) -> None:
    rows = make_rows([run("a", parameters=1)], [checkpoint("a", 1, val=value), checkpoint("a", 2, val=50.0)], "all")
    assert [row["mpjpe_mm"] for row in rows] == [50.0, None]
    (best,) = make_rows([run("a")], [checkpoint("a", 1, val=50.0), checkpoint("a", 2, val=value)], "best")
    assert best.epoch == 1


def test_runs_without_checkpoints_and_checkpoints_without_runs_give_no_row() -> None:
    assert make_rows([run("a")], [checkpoint("deleted", 1, val=1.0)], "all") == []


def test_a_run_without_a_finite_error_has_diverged_and_no_figure() -> None:
    """Whether the store kept NaN, or the tracker kept it away from the store."""
    told = checkpoint("a", 1, val=math.nan)
    kept_away = CheckpointRecord("b", told.tags | {"epoch": "2"}, [Point("loss/total", 1.0, 1)])
    runs = [run("a", "a"), RunRecord("b", "b", "FINISHED", 0, {"data.evaluation.val.fingerprint": "f"}, {}, {})]
    rows = make_rows(runs, [told, kept_away, checkpoint("c", 1, val=50.0)], "best")
    assert [(row.state, row["mpjpe_mm"]) for row in rows] == [("diverged", None)] * 2


def test_the_best_checkpoint_of_a_run_is_never_one_without_a_figure() -> None:
    for later in (checkpoint("a", 2, val=math.nan), CheckpointRecord("a", {"epoch": "2"}, [])):
        (row,) = make_rows([run("a")], [checkpoint("a", 1, val=80.0), later], "best")
        assert (row.epoch, row["mpjpe_mm"], row.state) == (1, 80.0, "")
        both = make_rows([run("a")], [checkpoint("a", 1, val=80.0), later], "all")
        assert [(row.epoch, row.state) for row in both] == [(2, "diverged"), (1, "")]


def test_a_run_that_has_no_set_to_evaluate_on_has_not_diverged() -> None:
    (row,) = make_rows([run("a")], [CheckpointRecord("a", {"epoch": "1"}, [Point("loss/total", 1.0, 1)])], "best")
    assert (row.state, row["mpjpe_mm"], row["loss/total"]) == ("", None, 1.0)


@pytest.mark.parametrize(("spread", "state"), [(0.84, "constant"), (4.99, "constant"), (5.01, ""), (40.0, "")])
@pytest.mark.parametrize("where", ["val/", "test/", ""])
def test_predictions_that_hardly_depend_on_the_image_are_constant(spread: float, state: str, where: str) -> None:
    told = checkpoint("a", 1, val=90.0, test=95.0)
    told.points.extend([Point(f"{where}spread_mm", spread, 1), Point(f"{where}spread_labels_mm", 100.0, 1)])
    (row,) = make_rows([run("a", parameters=5.0)], [told], "best", "test")
    assert row.state == state
    assert row["spread_mm"] == (None if where == "val/" else spread), "another set's is not shown"
    (baseline,) = make_rows([run("a", parameters=0.0)], [told], "best")
    assert baseline.state == "", "the mean pose is constant by intention"


@pytest.mark.parametrize(
    ("params", "start"),
    [
        ({}, ""),
        ({"backbone.weights": "None"}, "random"),
        ({"backbone.weights": "None", "init": "None"}, "random"),
        ({"backbone.weights": "imagenet"}, "imagenet"),
        ({"backbone.weights": "/data/movenet.pt"}, "movenet.pt"),
        ({"backbone.weights": "imagenet", "init": "/runs/x/epoch-003.pt"}, "epoch-003.pt"),
        ({"init": "/runs/x/epoch-003.pt", "init.sha256": "0123456789abcdef"}, "0123456789ab"),
        ({"backbone.weights": "imagenet", "init": "None", "compressed.parent": "0123456789abcdef"}, "0123456789ab"),
    ],
)
def test_where_training_started_is_read_from_the_run(params: dict[str, str], start: str) -> None:
    stored = RunRecord("a", "a", "FINISHED", 0, params, {}, {"parameters": 5.0})
    (row,) = make_rows([stored], [checkpoint("a", 1, val=90.0)], "best")
    assert row.start == start
    (baseline,) = make_rows([RunRecord("a", "a", "FINISHED", 0, params, {}, {"parameters": 0.0})], [
        checkpoint("a", 1, val=90.0)
    ], "best")  # fmt: skip
    assert baseline.start == ""


def test_a_time_and_its_circumstances_are_of_one_measurement() -> None:
    """A checkpoint that was measured before shares were does not take the share of another measurement."""
    stored = run("a", inference_time_s=0.042, inference_cpu_share=0.25, inference_ratio=3.0, parameters=5.0)
    older = checkpoint("a", 1, val=90.0)
    (row,) = make_rows([stored], [older], "best")
    assert (row["inference_time_s"], row["inference_cpu_share"], row.time_mark) == (0.042, 0.25, "~")
    older.points.append(Point("inference_time_s", 0.0056, 1))
    (row,) = make_rows([stored], [older], "best")
    assert (row["inference_time_s"], row["inference_cpu_share"], row.time_mark) == (0.0056, None, "")
