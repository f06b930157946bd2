"""Group modes: which attempts are compared with each other."""

from grpo_cli.groups.branches import branches
from grpo_cli.groups.candidates import candidates
from grpo_cli.groups.episodes import episodes
from grpo_cli.groups.memory import Demand, check_memory
from grpo_cli.groups.selection import SELECTORS, Selection
from grpo_cli.groups.share import Share as Share
from grpo_cli.groups.states import one_step, states, win_rates
from grpo_cli.groups.windows import windows

__all__ = [
    "SELECTORS",
    "Demand",
    "Selection",
    "branches",
    "candidates",
    "check_memory",
    "episodes",
    "one_step",
    "states",
    "win_rates",
    "windows",
]
