"""Group modes: which attempts are compared with each other."""

from grpo_cli.groups.branches import branches
from grpo_cli.groups.candidates import candidates
from grpo_cli.groups.episodes import episodes
from grpo_cli.groups.memory import check_memory
from grpo_cli.groups.selection import SELECTORS, Selection

__all__ = ["SELECTORS", "Selection", "branches", "candidates", "check_memory", "episodes"]
