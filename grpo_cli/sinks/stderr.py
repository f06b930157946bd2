"""Where lines for people go when there is no picture on the screen."""

import contextlib
import sys


def say(line: str) -> None:
    """Write one line to stderr; when nobody reads it any more, write nothing."""
    with contextlib.suppress(OSError):
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
