"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket


def free_port() -> int:
    """A port of loopback that nothing uses, and that nothing gets until it is used.

    The system chooses ports above 32767, and another worker of the tests chooses in a range of its own.
    """
    worker = int("0" + re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", ""))) % 20
    while True:
        port = random.randrange(10_000 + 1_000 * worker, 11_000 + 1_000 * worker)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
