"""The page: what a visitor sees is what Python sees, and nothing leaves the browser."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import torch
from support.exported import SIZE, export, write_run
from support.small_run import journal
from support.web_page import OpenPage, as_bytes, as_image, need_browser_and_runtime, opened

from hmr_light.body import load_body
from hmr_light.data.boxes import Box
from hmr_light.deployment import page as page_module
from hmr_light.deployment.runtime.crop import crop_person
from hmr_light.deployment.runtime.finding import box_of_keypoints
from hmr_light.errors import UserError
from hmr_light.model.onnx_predictor import open_onnx
from hmr_light.model.predictor import Predictor
from hmr_light.paths import sample_photograph

browser = pytest.mark.browser


class Exported(NamedTuple):
    folder: Path
    told: str
    """What `hmr-light export` said on standard error."""


@pytest.fixture(scope="module")
def exported_page(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A page with a small network in its run's folder, without ONNX Runtime Web, as an installed wheel makes it."""
    base = tmp_path_factory.mktemp("page")
    os.environ.setdefault("HMR_LIGHT_HOME", str(base))
    shutil.copytree(page_module.WEB, base / "web", ignore=shutil.ignore_patterns(page_module.RUNTIME))
    write_run(base / "run")
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(told):
        patch.setattr(page_module, "WEB", base / "web")
        return Exported(export(f"run={base / 'run'}", "format=web"), told.getvalue())


@pytest.fixture(scope="module")
def folder(exported_page: Exported) -> Path:
    return exported_page.folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[OpenPage]:
    """The page in a browser, after the files of ONNX Runtime Web have come."""
    need_browser_and_runtime()
    for name in page_module.RUNTIME_FILES:
        shutil.copyfile(page_module.WEB / page_module.RUNTIME / name, folder / page_module.RUNTIME / name)
    with opened(folder) as page:
        page.wait_until_ready()
        yield page


def photograph() -> np.ndarray:
    image = cv2.imread(str(sample_photograph()), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    return image


def noise(rng: np.random.Generator) -> np.ndarray:
    """Smooth noise of a random size, (H, W, 3)."""
    height, width = rng.integers(40, 500, 2)
    return cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), rng.uniform(0.5, 4))


def box_in(image: np.ndarray, rng: np.random.Generator) -> Box:
    """A box of any size around a place of the image."""
    height, width = image.shape[:2]
    return Box(rng.uniform(0, 1, 2) * (width, height), float(rng.uniform(0.3, 3)) * max(height, width) / 200)


def as_box(box: Box) -> dict[str, float]:
    return {"x": box.center[0], "y": box.center[1], "side": 200 * box.scale}


def test_the_folder_is_whole(folder: Path) -> None:
    assert folder.name == "model-float32-web"
    assert not [one for one in folder.parent.iterdir() if one.name.startswith(".model")]
    said = json.loads((folder / "page.json").read_text())
    assert said["model"]["input"]["size"] == SIZE
    assert open_onnx(folder / "model.onnx").outputs[-1] == "vertices"
    faces = np.frombuffer((folder / "faces.bin").read_bytes(), "<u2").reshape(-1, 3)
    np.testing.assert_array_equal(faces, load_body().faces)
    assert "ANNY" in (folder / "README.txt").read_text()
    values: dict[str, Any] = {}
    for entry in journal(folder.parent):
        values |= entry.get("values", {})
    assert values["export/web/float32/bytes"] == (folder / "model.onnx").stat().st_size


def test_no_file_of_the_page_names_another_address(folder: Path) -> None:
    for file in folder.iterdir():
        if file.suffix in (".html", ".js", ".css", ".svg"):
            assert set(re.findall(r"https?://[^\s\"']+", file.read_text())) <= {"http://www.w3.org/2000/svg"}, file


def test_the_licence_says_what_the_script_fetches() -> None:
    script = (Path(__file__).parents[2] / "scripts" / "get_onnxruntime_web.sh").read_text()
    assert f"version={page_module.RUNTIME_VERSION}\n" in script
    assert all(name in script for name in page_module.RUNTIME_FILES)


def test_without_onnx_runtime_web_one_message_says_which_files_to_put_where(exported_page: Exported) -> None:
    assert all(name in exported_page.told for name in page_module.RUNTIME_FILES)
    assert f"into {exported_page.folder / page_module.RUNTIME}:" in exported_page.told
    assert all(name in (exported_page.folder / "README.txt").read_text() for name in page_module.RUNTIME_FILES)


def test_what_a_page_cannot_show_is_refused(tmp_path: Path, home: Path) -> None:
    for options, message in (
        (["model=pocket", "body=smpl", f"body.path={tmp_path}", "include_body=true"], "shows the embedded body"),
        (["model=finder"], "format=onnx alone"),
    ):
        with pytest.raises(UserError, match=message):
            export(*options, "format=web", f"out={tmp_path / 'page'}")
    assert not (tmp_path / "page").exists()


@browser
def test_crops_are_pythons(page: OpenPage) -> None:
    rng = np.random.default_rng()
    for _ in range(10):
        image, size = noise(rng), int(rng.choice([64, 192, 224]))
        box = box_in(image, rng)
        found = page.run(
            "return encode(crop.cropPerson(image(values[0]), values[1], values[2]))", as_image(image), as_box(box), size
        )
        expected = crop_person(image, box, size)
        difference = np.abs(as_bytes(found).reshape(expected.shape).astype(int) - expected)
        # Processors without fused multiply and add round a value in a thousand to the other side.
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01


@browser
def test_boxes_are_pythons(page: OpenPage) -> None:
    rng = np.random.default_rng()
    people = np.dstack([rng.uniform(-50, 450, (50, 17, 2)), rng.uniform(0, 0.4, (50, 17, 1))])
    people[:5, :, 2] = 0.1  # too few are seen
    script = "return values[0].map((one) => finder.boxOfKeypoints(one, {width: 400, height: 300}))"
    for keypoints, found in zip(people, page.run(script, people.tolist()), strict=True):
        expected = box_of_keypoints(keypoints, 400, 300)
        if expected is None:
            assert found is None
        else:
            assert found == pytest.approx(as_box(expected), abs=1e-9)


@browser
def test_the_network_gives_what_python_gives_for_the_same_pixels(page: OpenPage, folder: Path) -> None:
    rng = np.random.default_rng()
    image = photograph()
    boxes = [Box(rng.uniform(150, 350, 2), float(rng.uniform(0.5, 3))) for _ in range(3)]
    script = """
        const {model} = await (await fetch("page.json")).json();
        const {networks} = await runtime.openNetworks(
            {model: {address: "model.onnx", input: model.input.name, size: model.input.size}}, "wasm", () => {});
        const crops = new Uint8Array(3 * model.input.size ** 2 * values[1].length);
        values[1].forEach((box, index) => crop.cropPerson(
            image(values[0]), box, model.input.size, crops, index * crops.length / values[1].length));
        const found = await networks.model(crops, values[1].length);
        return Object.fromEntries(Object.entries(found).map(([name, {data}]) => [name, Array.from(data)]));
    """
    found = page.run(script, as_image(image), [as_box(box) for box in boxes])
    crops = np.stack([crop_person(image, box, SIZE) for box in boxes])
    expected = open_onnx(folder / "model.onnx", threads=1).run(torch.from_numpy(crops).permute(0, 3, 1, 2))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(np.reshape(found[name], value.shape), value, atol=1e-3, err_msg=name)


def read_glb(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    """The document and the vertices of the first person in the camera frame."""
    content = path.read_bytes()
    magic, version, length, text_length, kind = struct.unpack_from("<4sIII4s", content)
    assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
    document = json.loads(content[20 : 20 + text_length])
    binary = content[28 + text_length :]
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    view = document["bufferViews"][accessor["bufferView"]]
    points = np.frombuffer(binary, "<f4", 3 * accessor["count"], view["byteOffset"]).reshape(-1, 3)
    np.testing.assert_allclose(points.max(0), accessor["max"])
    assert sum(one["byteLength"] for one in document["bufferViews"]) <= document["buffers"][0]["byteLength"]
    return document, points * [1, -1, -1]


@browser
def test_a_visitor_gets_what_python_gives_for_the_image_file(page: OpenPage, folder: Path, tmp_path: Path) -> None:
    page.page.set_input_files("#file", sample_photograph())
    page.page.locator("#json:enabled").wait_for()
    assert page.page.inner_text("#status") == "1 person found."
    for button in ("glb", "json"):
        with page.page.expect_download() as download:
            page.page.click(f"#{button}")
        download.value.save_as(tmp_path / download.value.suggested_filename)
    expected = Predictor(open_onnx(folder / "model.onnx", threads=1))(photograph())
    said = json.loads((tmp_path / "camera.json").read_text())
    assert said["image_size"] == [512, 512]
    assert said["focal"] == pytest.approx(expected.focal)
    (person,) = said["people"]
    assert np.shape(person["joints"]) == (49, 3)
    document, vertices = read_glb(tmp_path / "camera.glb")
    distances = np.linalg.norm(vertices - expected.vertices[0], axis=1)
    assert 1000 * distances.mean() < 2
    place = document["nodes"][0]["translation"] * np.array([1, -1, -1])
    np.testing.assert_allclose(place, person["translation"])
    np.testing.assert_allclose(place, expected.translation[0], rtol=5e-3)
    np.testing.assert_allclose(person["rotations"], expected.rotations[0], atol=0.02)
    np.testing.assert_allclose(np.array(person["keypoints"]), expected.keypoints[0], atol=1)
    assert person["confidence"] == pytest.approx(expected.confidence[0], abs=0.02)
    assert page.errors == []
    assert [one for one in page.requests if not one.startswith((page.address, "blob:"))] == []


@browser
def test_the_body_is_drawn_over_the_person_and_from_the_side(page: OpenPage, folder: Path) -> None:
    page.page.click("#example")
    page.page.locator("#json:enabled").wait_for()
    coverage = """(id) => {
        const canvas = document.getElementById(id), copy = document.createElement("canvas");
        [copy.width, copy.height] = [64, 64];
        const context = copy.getContext("2d");
        context.drawImage(canvas, 0, 0, 64, 64);
        return Array.from(context.getImageData(0, 0, 64, 64).data.filter((_, index) => index % 4 === 3));
    }"""
    over = np.reshape(page.page.evaluate(coverage, "overlay"), (64, 64)) > 100
    expected = Predictor(open_onnx(folder / "model.onnx", threads=1))(photograph())
    drawn = np.zeros((512, 512), np.uint8)
    pixels = expected.in_image(expected.vertices)[0].round().astype(np.int32)
    for face in load_body().faces.numpy():
        cv2.fillConvexPoly(drawn, pixels[face], 255)
    truth = cv2.resize(drawn, (64, 64), interpolation=cv2.INTER_AREA) > 127
    assert (over & truth).sum() > 0.9 * (over | truth).sum()
    before = np.array(page.page.evaluate(coverage, "around"))
    assert 0.02 < (before > 0).mean() < 0.6
    page.page.focus("#around")
    page.page.keyboard.press("ArrowLeft")
    turned = np.array(page.page.evaluate(coverage, "around"))
    assert not np.array_equal(before, turned)
    page.page.keyboard.press("ArrowRight")
    assert np.array_equal(before, page.page.evaluate(coverage, "around"))


@browser
def test_nothing_can_be_sent_and_no_text_becomes_code(page: OpenPage) -> None:
    other = page.address.replace("127.0.0.1", "localhost")  # another origin, which would answer
    blocked = """async (address) => {
        const tries = {
            fetch: () => fetch(address, {mode: "no-cors"}),
            image: () => new Promise((resolve, reject) => Object.assign(
                new Image(), {onload: resolve, onerror: reject, src: address + "icon.svg"})),
            beacon: async () => { navigator.sendBeacon(address, "x"); throw new Error(); },
            code: async () => eval("1"),
            script: () => new Promise((resolve, reject) => {
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                document.head.append(script);
                return window.ran ? resolve() : reject();
            }),
        };
        const passed = [];
        const violated = new Set();
        document.addEventListener("securitypolicyviolation", (event) => violated.add(event.effectiveDirective));
        for (const [name, attempt] of Object.entries(tries)) await attempt().then(() => passed.push(name), () => {});
        await new Promise((resolve) => setTimeout(resolve, 100));
        return [passed, [...violated].sort()];
    }"""
    before = list(page.errors)
    passed, violated = page.page.evaluate(blocked, other)
    assert passed == []
    assert {"connect-src", "img-src"} <= set(violated)
    assert [one for one in page.answers if not one.startswith((page.address, "blob:"))] == []
    page.errors[:] = before  # the browser tells of what was refused


@browser
def test_all_controls_have_names_in_both_languages(page: OpenPage) -> None:
    unnamed = """() => {
        const named = (one) => one.ariaLabel || one.textContent.trim() || one.labels?.[0]?.textContent.trim();
        const controls = document.querySelectorAll("button, select, input, canvas:not([aria-hidden]), progress");
        return [...controls].filter((one) => !one.hidden && !named(one)).map((one) => one.id);
    }"""
    titles = []
    for language in ("ko", "en"):
        page.page.click("#language")
        assert page.page.evaluate("document.documentElement.lang") == language
        assert page.page.evaluate(unnamed) == []
        titles.append(page.page.title())
        empty = "() => [...document.querySelectorAll('[data-text]')].filter((one) => !one.textContent).length"
        assert page.page.evaluate(empty) == 0
    assert titles[0] != titles[1]
    assert re.search("[가-힣]", titles[0])


@browser
def test_a_file_that_is_no_picture_is_told(page: OpenPage, tmp_path: Path) -> None:
    for name in ("text.png", "text.mp4"):
        (tmp_path / name).write_text("this is text")
        page.page.set_input_files("#file", tmp_path / name)
        page.page.get_by_text("cannot be read as an image or a video").wait_for()
        page.page.click("#example")
        page.page.get_by_text("1 person found.").wait_for()


@browser
def test_where_browsers_allow_no_camera_the_page_says_what_it_takes(page: OpenPage) -> None:
    page.page.evaluate("Object.defineProperty(navigator, 'mediaDevices', {value: undefined, configurable: true})")
    page.page.click("#camera")
    page.page.get_by_text("only on pages that come by HTTPS").wait_for()
    page.page.evaluate("delete navigator.mediaDevices")


@browser
def test_where_nobody_is_the_page_says_so(page: OpenPage, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "grey.jpg"), np.full((200, 300, 3), 128, np.uint8))
    page.page.set_input_files("#file", tmp_path / "grey.jpg")
    page.page.get_by_text("Nobody was found").wait_for()
    assert page.page.is_disabled("#glb")


@browser
def test_the_lines_of_javascript_run_as_printed(page: OpenPage, folder: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text()
    (example,) = re.findall(r"```js\n(.*?)```", text, re.DOTALL)
    (folder / "lines.js").write_text(example)
    (folder / "lines.html").write_text('<script type="module" src="lines.js"></script>')
    tab = page.page.context.new_page()
    with tab.expect_console_message(lambda one: one.type == "log", timeout=180_000) as printed:
        tab.goto(f"{page.address}lines.html")
    assert printed.value.text == "[1, 24, 3, 3] [1, 10] [1, 3] [1, 6890, 3]"
    tab.close()


@browser
@pytest.mark.slow
def test_a_jpeg_and_a_video_with_the_packages_model(tmp_path: Path, home: Path) -> None:
    need_browser_and_runtime()
    folder = export("model=mobile", "format=web", f"out={tmp_path / 'page'}")
    image = photograph()[:, :, ::-1]
    # In colours, so that their planes are sampled as in photographs.
    coloured = (image * np.linspace([0.6, 1.0, 0.8], [1.0, 0.7, 0.9], image.shape[1])).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "photograph.jpg"), coloured, [cv2.IMWRITE_JPEG_QUALITY, 90])
    video = cv2.VideoWriter(str(tmp_path / "clip.webm"), cv2.VideoWriter.fourcc(*"VP80"), 10, (512, 512))
    for shift in range(12):
        video.write(np.roll(coloured, 4 * shift, axis=1))
    video.release()
    with opened(folder, isolated=False) as page:
        page.wait_until_ready()
        page.page.set_input_files("#file", tmp_path / "photograph.jpg")
        page.page.locator("#glb:enabled").wait_for()
        with page.page.expect_download() as download:
            page.page.click("#glb")
        download.value.save_as(tmp_path / "photograph.glb")
        stored = cv2.imread(str(tmp_path / "photograph.jpg"), cv2.IMREAD_COLOR_RGB)
        expected = Predictor(open_onnx(folder / "model.onnx", threads=1))(np.asarray(stored))
        vertices = read_glb(tmp_path / "photograph.glb")[1]
        assert 1000 * np.linalg.norm(vertices - expected.vertices[0], axis=1).mean() < 2
        cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 300, 3), 128, np.uint8))
        page.page.set_input_files("#file", tmp_path / "grey.png")
        page.page.locator("#json:disabled").wait_for()  # so that what is downloaded next is the video's
        page.page.set_input_files("#file", tmp_path / "clip.webm")
        page.page.locator("#json:enabled").wait_for()
        page.page.get_by_role("button", name="Play").wait_for()
        with page.page.expect_download() as download:
            page.page.click("#json")
        download.value.save_as(tmp_path / "clip.json")
        said = json.loads((tmp_path / "clip.json").read_text())
        assert said["time"] >= 0
        assert len(said["people"]) == 1
        assert page.errors == []
