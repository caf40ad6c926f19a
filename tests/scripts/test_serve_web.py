"""The server of the page: this machine alone, isolated, and kind when it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "serve_web.py"


def test_it_serves_a_page_until_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("a page")
    (tmp_path / "a.mjs").write_text("1")
    command = [sys.executable, SCRIPT, tmp_path, "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    address = server.stdout.readline().split()[4]
    assert address.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(address + "a.mjs") as answer:
        assert answer.headers["Content-Type"] == "text/javascript"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    server.send_signal(signal.SIGINT)
    told = server.communicate(timeout=300)[1]
    assert server.returncode == 0
    assert told.strip() == "stopped."


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("a page")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([sys.executable, SCRIPT, tmp_path, "--port", port], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"port {port} cannot be used" in done.stderr
    assert "make web PORT=" in done.stderr


def test_a_folder_without_a_page_is_told(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True)
    assert done.returncode == 2
    assert "holds no page\n  Make one: hmr-light export" in done.stderr
