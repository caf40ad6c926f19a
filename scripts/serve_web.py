"""Serve the folder of `hmr-light export format=web` on this machine alone, isolated so that the page may use threads.

python scripts/serve_web.py FOLDER [--port 8000] [--open]
"""

from __future__ import annotations

import argparse
import functools
import re
import signal
import sys
import webbrowser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_POLICY = re.compile(r'http-equiv="Content-Security-Policy" content="([^"]*)"')
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
}
"""What the page's answers carry; without the first two, browsers give a page one thread."""


class Handler(SimpleHTTPRequestHandler):
    """Files with `headers`; nothing is printed."""

    headers_sent = HEADERS
    extensions_map = {  # noqa: RUF012  # the base class has it so
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(folder: Path, port: int = 0, *, isolated: bool = True) -> ThreadingHTTPServer:
    """A server of `folder` on 127.0.0.1, not running yet; port 0 is a free one. Raises OSError for a port in use."""
    policy = _POLICY.search((folder / "index.html").read_text(encoding="utf-8"))
    # Threads of the page take their policy from the answers.
    sent = HEADERS | ({"Content-Security-Policy": policy[1]} if policy else {}) if isolated else {}
    kind = type("OfPage", (Handler,), {"headers_sent": sent})
    return ThreadingHTTPServer(("127.0.0.1", port), functools.partial(kind, directory=str(folder)))


def main() -> int:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--open", action="store_true", help="in a browser, too")
    options = parser.parse_args()
    if not (options.folder / "index.html").is_file():
        print(f"{options.folder} holds no page\n  Make one: hmr-light export model=mobile format=web", file=sys.stderr)
        return 2
    try:
        server = serve(options.folder, options.port)
    except (OSError, OverflowError) as error:
        print(f"port {options.port} cannot be used: {error}", file=sys.stderr)
        print("  Give another one: --port 8001 (make web PORT=8001)", file=sys.stderr)
        return 2
    address = f"http://127.0.0.1:{server.server_port}/"
    # Also where a shell has started this in the background, which lets Ctrl-C pass by.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    print(f"The page is at {address}   (Ctrl-C stops it)", flush=True)
    try:
        if options.open:
            webbrowser.open(address)
        server.serve_forever()
    except KeyboardInterrupt:
        print("\nstopped.", file=sys.stderr)
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
