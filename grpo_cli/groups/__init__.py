"""Group modes: which attempts are compared with each other."""

from grpo_cli.groups.episodes import episodes
from grpo_cli.groups.memory import check_memory

__all__ = ["check_memory", "episodes"]
