"""Paths and names reach a command as a shell hands them over, whatever letters they hold."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from support.cli import compose

from hmr_light.config.hints import hydra_quoted
from hmr_light.config.overrides import name_experiment, read_arguments
from hmr_light.config.schema import SCHEMAS
from hmr_light.errors import UserError

ODD = [
    "사진",
    "é",
    "a b",
    "a=b",
    "a,b",
    "a, b",
    "p(1)",
    "it's",
    'say "hi"',
    "a&b",
    "a#b",
    "a[1]",
    "[1]",
    "{a: 1}",
    "~/x",
    "~",
    "123",
    "1e3",
    "true",
    "a\\b'",
    "a;b!",
    "a:b",
    "c*?",
    "'",
    " leading",
]


def value(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = config[name] if isinstance(config, dict) else getattr(config, name)
    return config


def read(command: str, *arguments: str) -> Any:
    return compose(command, *read_arguments(SCHEMAS[command], arguments))


@pytest.mark.parametrize("text", ODD)
def test_text_is_taken_as_it_stands(home: Path, text: str) -> None:
    config = read("train", f"row={text}", f"outputs={text}", f"data.root={text}", f"data.train.synthetic.images={text}")
    assert config.row == text
    assert [config.outputs, config.data.root, config.data.train["synthetic"].images] == [Path(text)] * 3
    # The options of builders have no schema here.
    source = read("prepare", "source=coco", f"source.annotations={text}", f"source.out={text}").source
    assert (source["annotations"], source["out"]) == (text, text)


@pytest.mark.parametrize("text", ODD)
def test_the_elements_of_lists_and_mappings_hold_any_letters_but_commas(home: Path, text: str) -> None:
    if "," in text or text[0] in "'[{ ":
        return
    assert read("benchmark", f"models=[resnet50,{text} , b]").models == [
        "resnet50",
        text,
        "b",
    ]
    if text in ("123", "1e3", "true"):
        return  # in a mapping of Hydra's these are a number and a truth value
    sets = read("evaluate", "run=r", f"+data.evaluation.mine={{annotations: {text},images: /a b}}").data.evaluation
    assert str(sets["mine"].images) == "/a b"
    assert sets["mine"].annotations == Path(text)


def test_lists_that_a_shell_has_cut_at_blanks_are_whole_again(home: Path) -> None:
    config = read("benchmark", "models=[a,", "b", ",it's]", "batch_sizes=[1,", "8]", "rounds=3")
    assert (config.models, config.batch_sizes, config.rounds) == (["a", "b", "it's"], [1, 8], 3)
    counts = read("prepare", "source.counts={train:", "3,", "val: 2}").source["counts"]
    assert (counts["train"], counts["val"]) == (3, 2)


def test_quotes_and_references_of_hydra_keep_their_meaning(home: Path, tmp_path: Path) -> None:
    assert read("train", "row='a, b'").row == "a, b"
    assert read("train", 'row="a\\"b"').row == 'a"b'
    assert read("train", "row=a\\ b").row == "a b"
    assert read("train", "row=null").row is None
    assert read("train", "row=", "seed=3").row == ""
    assert read("train", "row=${backbone.name}사").row == "mobilenet_v2사"
    (tmp_path / "${seed}").mkdir()
    assert read("train", f"outputs={tmp_path}/${{seed}}").outputs == tmp_path / "${seed}"


def test_a_set_of_ones_own_needs_no_plus(home: Path) -> None:
    places = [f"data.evaluation.mine.{key}={key} (1)" for key in ("annotations", "images")]
    evaluation = read("evaluate", "run=r", "data=custom", *places).data.evaluation
    assert evaluation["mine"].annotations == Path("annotations (1)")
    with pytest.raises(UserError, match=r"data\.evaluation\.mine\.images"):
        read("evaluate", "run=r", places[0])


def test_a_sweep_parts_its_values_at_commas() -> None:
    arguments = ["row=a,b", "init=/a b/~x,/c", "seed=1,2", "outputs='a,b'"]
    assert read_arguments(SCHEMAS["train"], arguments, sweep=True) == [
        "row=a,b",
        'init="/a b/~x",/c',
        "seed=1,2",
        "outputs='a,b'",
    ]


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (["input=my", "photographs"], "cannot read 'photographs'", "'input=my photographs'"),
        (["photographs"], "cannot read 'photographs'", "Options are key=value."),
        (["meshes=[glb", "every=2"], r"meshes=\[glb every=2: the bracket is not closed", "'meshes=\"[glb\"'"),
    ],
)
def test_what_cannot_be_read_gets_the_quoted_form_to_type(arguments: list[str], message: str, remedy: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_arguments(SCHEMAS["predict"], arguments)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("command", "argument"),
    [
        ("predict", "run="),
        ("predict", "out="),
        ("predict", "boxes="),
        ("evaluate", "run="),
        ("train", "outputs="),
        ("train", "init="),
        ("train", "backbone.weights="),
        ("train", "data.root="),
        ("train", "tracking.experiment="),
    ],
)
def test_an_empty_path_or_name_is_refused_and_is_not_the_current_folder(command: str, argument: str) -> None:
    for sweep in (False, True):
        with pytest.raises(UserError, match=f"{argument} is empty"):
            read_arguments(SCHEMAS[command], [argument], sweep=sweep)


def test_quoted_text_of_any_letters_is_read_as_itself_by_hydra_and_omegaconf() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    letters = random.Random(17)
    parser = OverridesParser.create()
    for _ in range(400):
        text = "".join(letters.choice("ab'\"\\$ {}[](),=~#&사é;:.\t") for _ in range(letters.randint(1, 9)))
        read = parser.parse_override(f"key={hydra_quoted(text, literal=True)}").value()
        assert OmegaConf.create({"key": read}).key == text


def test_folders_of_odd_names_are_found_by_a_command(hmr_light: Any, home: Path, tmp_path: Path) -> None:
    """Through a real shell: the message names the folder, so it was read."""
    for name in ("사진 (1)", "it's, a=b"):
        (tmp_path / name).mkdir()
        result: subprocess.CompletedProcess[str] = hmr_light("sync", f"run_dir={name}", cwd=tmp_path)
        assert result.returncode == 2
        assert f"{name}" in result.stderr
        assert "there is no run folder" not in result.stderr
    missing = hmr_light("sync", "run_dir=~/사진")
    assert missing.stderr.startswith("hmr-light: run_dir: there is no run folder at ~/사진")


@pytest.mark.parametrize("command", ["table", "benchmark", "ui"])
def test_an_experiment_is_mlflows_where_no_run_is_trained(command: str) -> None:
    arguments = ["experiment=demo", "format=csv", "tracking.experiment=x", "my.experiment=y"]
    assert name_experiment(command, arguments) == ["tracking.experiment=demo", *arguments[1:]]
    assert name_experiment("train", arguments) == arguments


@pytest.mark.usefixtures("home")
def test_a_mapping_of_sets_names_all_sets_that_there_are() -> None:
    def sets(kind: str, *given: str) -> dict[str, Any]:
        return getattr(compose("train", *read_arguments(SCHEMAS["train"], given)).data, kind)

    assert sets("train", "data.train={}") == {}
    assert sets("evaluation", "data.evaluation={}") == {}
    assert [*sets("train", "data.evaluation={}")] == ["synthetic"]
    mine = "data.train={my own: {annotations: it's.npz, images: /x}}"
    assert {name: str(one.annotations) for name, one in sets("train", mine).items()} == {"my own": "it's.npz"}
    # One more set, and one option of a set, leave the others as they are.
    assert [*sets("train", "data.train.more.annotations=a.npz", "data.train.more.images=/x")] == ["synthetic", "more"]
    assert sets("train", "data.train.synthetic.ratio=0.5")["synthetic"].ratio == 0.5


@pytest.mark.usefixtures("home")
def test_a_mapping_among_the_options_of_a_builder_takes_new_keys() -> None:
    def layers(*given: str) -> Any:
        read = read_arguments(SCHEMAS["compress"], ["checkpoint=mobile", *given])
        return compose("compress", *read).compression["layers"]

    assert layers("compression.layers={regressor*: 0.5, backbone.trunk.3.squeeze: 1}") == {
        "regressor*": 0.5,
        "backbone.trunk.3.squeeze": 1,
    }
    assert layers("compression.layers={}") == {}
    table = layers("compression=squeezenet_table")
    assert layers("compression=squeezenet_table", "compression.layers={mine: 0.5}") == table | {"mine": 0.5}


@pytest.mark.usefixtures("home")
def test_a_path_with_a_comma_in_a_list_is_one_path(tmp_path: Path) -> None:
    odd = tmp_path / "a, b,c" / "run"
    odd.mkdir(parents=True)
    read = read_arguments(SCHEMAS["benchmark"], [f"models=[mobilenet_v2,{odd}, resnet18,a]"])
    assert compose("benchmark", *read).models == ["mobilenet_v2", str(odd), "resnet18", "a"]
