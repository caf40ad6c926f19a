#!/usr/bin/env bash
# Creates the virtual environment $1 and installs the project and its development tools into it, pinned.
set -euo pipefail
venv=$1

if command -v uv >/dev/null; then
    uv=uv
else
    echo "setup: uv is not installed; installing it into $venv-uv"
    python3 -m venv "$venv-uv"
    "$venv-uv/bin/python" -m pip install --quiet --disable-pip-version-check uv
    uv=$venv-uv/bin/uv
fi

if [ ! -x "$venv/bin/python" ]; then
    "$uv" venv --quiet --python '>=3.11,<3.14' "$venv"
fi
echo "setup: installing into $venv (about 7 GB with torch; a minute or two the first time)"
# Compiled once, here: where Python may not write its bytecode, as in many containers, each command would compile torch anew.
UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300} "$uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" \
    -c constraints.txt -e . --group dev
"$venv/bin/python" -m compileall -q src
echo "setup: done"
