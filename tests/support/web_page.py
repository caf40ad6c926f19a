"""The page of `hmr-light export format=web`, served and opened in Chromium."""

from __future__ import annotations

import base64
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serve_web import serve

from hmr_light.deployment.page import RUNTIME, RUNTIME_FILES, WEB
from support.browser import CHROMIUM, NO_CHROMIUM, WEBGL

_ROOT = Path(__file__).parents[2]
_PATIENCE = 180_000
"""Milliseconds: a busy machine is slow."""


def need_browser_and_runtime() -> None:
    """Skip the test where there is no Chromium, or where ONNX Runtime Web is neither here nor to be had from npm."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    if all((WEB / RUNTIME / name).is_file() for name in RUNTIME_FILES):
        return
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which brings ONNX Runtime Web (Debian: apt-get install npm)")
    done = subprocess.run(["bash", _ROOT / "scripts" / "get_onnxruntime_web.sh"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"scripts/get_onnxruntime_web.sh cannot fetch ONNX Runtime Web: {done.stderr.strip()[-300:]}")


class OpenPage:
    """A page in a browser, and what it did."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.address = address
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda one: self.errors.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.answers: list[str] = []
        page.on("response", lambda one: self.answers.append(one.url))
        page.on("request", lambda one: self.requests.append(one.url))
        page.set_default_timeout(_PATIENCE)

    def wait_until_ready(self) -> None:
        self.page.locator("#example:enabled").wait_for()

    def run(self, script: str, *values: Any) -> Any:
        """What an asynchronous function of the page's own modules gives; see `SETUP`."""
        return self.page.evaluate(f"async (values) => {{ {SETUP} {script} }}", list(values))


SETUP = """
    const [crop, finder, people, files, view, pictures, runtime] = await Promise.all(
        ["crop", "finder", "people", "files", "view", "pictures", "runtime"].map((name) => import(`/${name}.js`)));
    const decode = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const encode = (bytes) => {
        let text = "";
        for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
        return btoa(text);
    };
    const image = ([width, height, data]) => new ImageData(new Uint8ClampedArray(decode(data)), width, height);
"""
"""Before a script: the page's modules by name, `image` of what `as_image` gives, and bytes as text."""


def as_image(pixels: np.ndarray) -> list[Any]:
    """RGB pixels (H, W, 3) as a script takes them."""
    height, width = pixels.shape[:2]
    rgba = np.dstack([pixels, np.full((height, width), 255, np.uint8)])
    return [width, height, base64.b64encode(rgba.tobytes()).decode()]


def as_bytes(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8)


@contextmanager
def served(folder: Path, *, isolated: bool = True) -> Iterator[str]:
    """The address of a server of `folder`."""
    server = serve(folder, isolated=isolated)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def opened(
    folder: Path, *, isolated: bool = True, file: str = "", wide: int = 1280, high: int = 1000, locale: str = "en-US"
) -> Iterator[OpenPage]:
    """`file` of `folder` in a browser of that size and language."""
    from playwright.sync_api import sync_playwright

    with served(folder, isolated=isolated) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=WEBGL, timeout=_PATIENCE)
        context = browser.new_context(viewport={"width": wide, "height": high}, locale=locale)
        page = OpenPage(context.new_page(), address)
        page.page.goto(address + file)
        yield page
        browser.close()
