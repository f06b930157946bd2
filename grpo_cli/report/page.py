"""From what was collected to one HTML file."""

import json
import math
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from grpo_cli.errors import GrpoError
from grpo_cli.report.collect import collect
from grpo_cli.runs import Run

NAME = "report.html"
PARTS = ("report.css", "chart.js", "groups.js", "report.js")


def write(runs: Sequence[Run], path: Path) -> None:
    """Write the report of these runs.

    Raises:
        GrpoError: the file cannot be written.
    """
    fresh = path.with_name(f".{path.name}.partial")
    try:
        fresh.write_text(page(collect(runs)))
        fresh.replace(path)
    except OSError as error:
        raise GrpoError(
            f"{path} cannot be written: {error.strerror or error}", "give another file: --out"
        ) from error
    finally:
        fresh.unlink(missing_ok=True)


def page(found: dict[str, Any]) -> str:
    """Return the page; what a run's files say is data in it, never markup or code."""
    files = resources.files("grpo_cli.report")
    text = (files / "report.html").read_text()
    for part in PARTS:
        text = text.replace(f"/*{part}*/", (files / part).read_text())
    # `<` would end the element, in a name or a config as well.
    data = json.dumps(_finite(found), separators=(",", ":"), allow_nan=False)
    data = data.replace("<", "\\u003c")
    before, _, after = text.partition("__DATA__")
    return f"{before}{data}{after}"


def _finite(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
