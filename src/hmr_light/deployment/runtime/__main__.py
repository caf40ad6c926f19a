"""`hmr-light-runtime`, and `python -m hmr_light_runtime`: the exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from . import PROGRAM
from .errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 2 for a mistake of the user, 130 after Ctrl-C."""
    try:
        from .command import run  # takes a moment, in which Ctrl-C is to end quietly, too

        run(arguments)
    except UserError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ImportError) as error:
        # A library that is stopped while it is loaded says that it cannot be.
        if isinstance(error, ImportError) and not isinstance(error.__cause__, KeyboardInterrupt):
            raise
        print(f"{PROGRAM}: stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
