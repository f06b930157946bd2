"""What lies in `runs/`: found by words, told apart by their configs, read as curves.

Only files are read, and nothing in them is executed. Neither torch nor Hydra is imported.
"""

from grpo_cli.runs.configs import Settings, differences, settings, sides
from grpo_cli.runs.curves import Band, Series, bands, ends, series
from grpo_cli.runs.facts import Run, retag, state
from grpo_cli.runs.index import listed, read
from grpo_cli.runs.select import matches, select

__all__ = [
    "Band", "Run", "Series", "Settings", "bands", "differences", "ends", "listed", "matches",
    "read", "retag", "select", "series", "settings", "sides", "state",
]  # fmt: skip
