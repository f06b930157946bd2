"""How things get onto stdout: with colours on a terminal, as plain text in a pipe."""

import json
import math
import sys
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

PIPE_WIDTH = 200
"""Columns where stdout is no terminal; wide enough that paths are not broken."""


def is_terminal() -> bool:
    """Say whether a person is looking at stdout."""
    return sys.stdout.isatty()


def show(*parts: RenderableType) -> None:
    """Print renderables; in a pipe without colours and without blanks at the ends of lines."""
    console = Console(file=sys.stdout, width=None if is_terminal() else PIPE_WIDTH, highlight=False)
    with console.capture() as capture:
        console.print(*parts, sep="\n")
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def show_json(value: Any) -> None:
    """Print one JSON value; numbers that are not finite become null."""
    sys.stdout.write(json.dumps(_finite(value), indent=2) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def columns() -> Table:
    """Return a table without lines: columns two blanks apart."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
