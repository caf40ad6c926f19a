"""`hmr-light doctor`: what is installed, found and missing, and what to do about it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from hmr_light.body.npy import read_header
from hmr_light.config.choices import choices, compose_data
from hmr_light.config.makers import make_command
from hmr_light.config.schema import BodyConfig, DoctorConfig
from hmr_light.errors import UserError, as_user_error
from hmr_light.paths import home, is_there, without_secret
from hmr_light.reports.terminal import show_text
from hmr_light.tracking.schema import find_problem

_LITTLE_SPACE = 10 * 2**30
_COMMANDS = ("hmr-light ", "pip ")
_OK, _MISSING, _BROKEN = "[green]✓[/]", "[yellow]–[/]", "[bold red]✗[/]"


class Finding(NamedTuple):
    """One line of the table. What is missing can be had; what is broken keeps rendered data from being trained on."""

    subject: str
    found: str
    mark: str = _OK
    remedy: str = ""


def run(config: DoctorConfig) -> None:
    """Print the findings. Raises `UserError` when something is broken that the default path needs."""
    sections: dict[str, Callable[[], Iterator[Finding]]] = {
        "system": _system,
        "packages": _packages,
        "devices": _devices,
        "bodies": lambda: _bodies(config.body),
        "data": _data,
        "weights": _weights,
        "tracking": lambda: _tracking(config.tracking.uri),
    }
    console = Console()
    with console.status("looking …"):
        found = {title: list(_safely(title, look)) for title, look in sections.items()}
    findings = [finding for section in found.values() for finding in section]
    side = max(len(finding.subject) for finding in findings)
    for title, section in found.items():
        console.print(f"[bold]{title}[/]")
        for finding in section:
            _show(finding, console, side)
    if broken := [finding for finding in findings if finding.mark == _BROKEN]:
        raise UserError(f"broken: {', '.join(finding.subject for finding in broken)}", broken[0].remedy)
    trained = any(finding.subject == "data=synthetic" and finding.mark == _OK for finding in findings)
    console.print(f"next: hmr-light {'train experiment=mobilenet_v2' if trained else 'prepare source=synthetic'}")


def _show(finding: Finding, console: Console, side: int) -> None:
    """One finding, its remedy below; no word, path or command is cut. `side`: the columns of the widest subject.

    What was found stands beside its subject, or below it where a path has no room there.
    """
    console.print(f"  {finding.mark} ", end="")
    indent = " " * (side + 6)
    if max(map(len, finding.found.split()), default=0) > console.width - len(indent):
        console.print(Text(finding.subject), soft_wrap=True)
        start = indent = " " * 6
    else:
        start = f"{finding.subject:<{side}}  "
    show_text(finding.found, console, start, indent=len(indent))
    if finding.remedy.startswith(_COMMANDS):
        console.print(Text(f"{indent}{finding.remedy}"), soft_wrap=True)
    else:
        show_text(finding.remedy, console, indent)


def _safely(title: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of one section; its own failure is one of them."""
    try:
        yield from look()
    except UserError as error:
        yield Finding(title, error.message, _BROKEN, error.remedy)
    except Exception as error:  # whatever is wrong with this machine is what we are asked for
        if refused := as_user_error(error):
            yield Finding(title, refused.message, _BROKEN, refused.remedy)
            return
        yield Finding(title, f"{type(error).__name__}: {error}", _BROKEN, "Install hmr_light anew (make setup).")


def _system() -> Iterator[Finding]:
    yield Finding("Python", f"{platform.python_version()} on {platform.platform(terse=True)}, {os.cpu_count()} cores")
    folder = home()
    # A home that is not there yet will be made by the first command that writes to it.
    place = next(one for one in (folder, *folder.parents) if is_there(one))
    free = shutil.disk_usage(place).free
    yield Finding(
        "disk",
        f"{free / 2**30:.0f} GB free for {folder}",
        _OK if free >= _LITTLE_SPACE else _MISSING,
        "" if free >= _LITTLE_SPACE else "Free some space, or set HMR_LIGHT_HOME to another disk.",
    )
    if not os.access(place, os.W_OK | os.X_OK):
        yield Finding("home", f"{folder} cannot be written", _BROKEN, "Set HMR_LIGHT_HOME to a folder of yours.")


def _packages() -> Iterator[Finding]:
    """Every package that this one asks for, required or optional."""
    for line in importlib.metadata.requires("hmr-light") or ():
        name, is_optional = re.split(r"[^\w.-]", line)[0], "extra ==" in line
        try:
            yield Finding(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            remedy = f"pip install '{line.split(';')[0].strip()}'"
            yield Finding(name, "optional" if is_optional else "missing", _MISSING if is_optional else _BROKEN, remedy)


def _devices() -> Iterator[Finding]:
    import torch

    threads = torch.get_num_threads()
    yield Finding("cpu", f"{threads} thread{'' if threads == 1 else 's'}, {torch.backends.cpu.get_cpu_capability()}")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding(f"cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GB")
    if not torch.cuda.is_available():
        yield Finding("cuda", "no GPU: torch trains on the CPU", _MISSING)


def _bodies(body: BodyConfig) -> Iterator[Finding]:
    from hmr_light.body.files import EMBEDDED_BODY, GENDERS, GET_BODY, find_bodies, find_body, gender_of

    yield _body("embedded", EMBEDDED_BODY, "neutral", needed=True)
    folder = home() / "data" / "body_models"
    found = find_bodies(folder) if folder.is_dir() else {}
    for gender in GENDERS:
        if gender in found:
            yield _body("smpl", found[gender], gender, body.regressors())
    if not found:
        yield Finding("smpl", f"none in {folder}", _MISSING, GET_BODY)
    if body.path is not None and (file := find_body(body.path)) not in found.values():
        yield _body("chosen", file, gender_of(file) or "gender not named", body.regressors())


def _body(
    subject: str, file: Path, gender: str, regressors: Mapping[str, Path | None] | None = None, needed: bool = False
) -> Finding:
    from hmr_light.body.files import read_body
    from hmr_light.body.smpl import fingerprint

    try:
        body = read_body(file, **(regressors or {}))
    except UserError as error:
        return Finding(subject, error.message, _BROKEN if needed else _MISSING, error.remedy)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    counts = f"{len(body['v_template'])} vertices, {len(body['f'])} faces, {body['shapedirs'].shape[2]} betas"
    hashes = f"sha256 {digest[:16]}, fingerprint {fingerprint(body)[:16]}"
    return Finding(subject, f"{file}\n{gender}, {counts}\n{hashes}")


def _data() -> Iterator[Finding]:
    """The annotations that each choice of `data=` reads, and others that lie in the data folder."""
    listed: set[Path] = set()
    for name in choices("data"):
        config = compose_data(name)
        sets = [*config["train"].values(), *config["evaluation"].values()]
        files = dict.fromkeys(Path(one["annotations"]) for one in sets)
        listed |= files.keys()
        if missing := [file for file in files if not file.exists()]:
            remedy = make_command(missing[0], name) or "See data/README.md."
            yield Finding(f"data={name}", f"no {missing[0]}", _MISSING, remedy)
        elif files:
            yield Finding(f"data={name}", "\n".join(f"{file}: {_people(file) or 'unknown'} people" for file in files))
    for file in sorted((home() / "data").glob("*/*.npz")):
        if file not in listed and (people := _people(file)):
            yield Finding(f"data/{file.parent.name}", f"{file}: {people} people")


def _people(file: Path) -> str:
    """How many people an annotations file has, from its headers alone; empty for another file, or a damaged one."""
    try:
        with zipfile.ZipFile(file) as archive, archive.open("center.npy") as array:
            shape, _, _ = read_header(array)
            return f"{shape[0]:,}"
    except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile):
        return ""


def _weights() -> Iterator[Finding]:
    import torch

    from hmr_light.data.detector import detector_file

    cache = Path(torch.hub.get_dir()) / "checkpoints"
    files = sorted(file.name for file in cache.glob("*.pth"))
    remedy = "backbone.weights=imagenet downloads them when they are first needed."
    yield Finding(
        "backbones", "\n".join(files) or f"none in {cache}", _OK if files else _MISSING, "" if files else remedy
    )
    detector = detector_file()
    yield Finding(
        "detector",
        detector[0] if detector else f"none of torchvision's in {cache}",
        _OK if detector else _MISSING,
        "" if detector else "predict takes boxes=FILE, or the whole image as one person.",
    )


def _tracking(uri: str | None) -> Iterator[Finding]:
    if not uri:
        yield Finding("store", "none: runs are kept in their journals alone", _MISSING, "tracking=local")
    elif uri.startswith("sqlite:///"):
        file = Path(uri.removeprefix("sqlite:///"))
        found = f"{file}, {file.stat().st_size / 2**20:.1f} MB" if file.is_file() else f"{file}, made by the first run"
        problem = find_problem(file, uri) if file.is_file() else None
        if problem:
            yield Finding("store", f"{found}: {problem.message}", _MISSING, problem.remedy)
        else:
            yield Finding("store", found)
    elif uri.startswith("http"):
        address = without_secret(uri)
        try:
            with urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=3):
                yield Finding("store", f"{address} answers")
        except (OSError, ValueError) as error:
            yield Finding(
                "store", f"{address} does not answer: {error}", _MISSING, "Start it; runs wait in their journals."
            )
    else:
        yield Finding("store", without_secret(uri))
