"""The description of a run is a table in Markdown, whatever names hold."""

from __future__ import annotations

from hmr_light.tracking.description import describe, run_name


def test_a_recipe_is_told_and_names_break_no_table() -> None:
    params = {
        "backbone.name": "a|b",
        "seed": 3,
        "data.train.coco.annotations": "a.npz",
        "data.train.coco.ratio": 0.3,
        "data.train.synthetic.annotations": "b.npz",
        "data.train.synthetic.ratio": 0.7,
        "data.evaluation.my.set.annotations": "c.npz",
        "protocol.name": "lsp14",
    }
    lines = describe(params, {"body": "embedded", "parent": "", "note": "two\nlines"}).splitlines()
    assert lines[:2] == ["| recipe | |", "|---|---|"]
    assert "| model | backbone a\\|b, regressor – |" in lines
    assert any("coco (0.3), synthetic (0.7)" in line for line in lines)
    assert "| evaluated on | my.set by the protocol lsp14 |" in lines
    assert "| note | two lines |" in lines
    assert not any("parent" in line for line in lines)


def test_the_seed_comes_first_in_a_name() -> None:
    assert run_name("mobilenet_v2", 12, "260101-120000") == "s12 mobilenet_v2 260101-120000"
