"""What a group mode asks of the computer, before the first rollout is sampled."""

import os
from dataclasses import dataclass

from grpo_cli.envs import EnvSource
from grpo_cli.errors import ConfigError
from grpo_cli.observations import Observations

# Observations lie in memory three times while steps are packed into rows; the other columns
# (member, step, action, log-probability, reward, weight, advantage, temporaries) take about this.
COPIES = 3
OTHER_BYTES = 160
INDEX_BYTES = 8  # for the place of each frame of a stack


@dataclass(frozen=True)
class Demand:
    """What one update asks for.

    Attributes:
        slots: members that live side by side.
        rows: steps at most.
        restarts: a slot must be able to start again while others go on.
    """

    slots: int
    rows: int
    restarts: bool


SMALLER = "lower num_groups or group_size, or set env.max_steps"


def check_memory(source: EnvSource, rows: int, smaller: str = SMALLER) -> None:
    """Refuse a rollout that could take more than half of the free memory.

    Args:
        source: the environment.
        rows: of one update, at most.
        smaller: how a person asks for less.

    Raises:
        ConfigError: it could; says how to ask for less.
    """
    seen = Observations(source.observation_space).row_bytes // source.stack
    row = COPIES * (seen + INDEX_BYTES * source.stack) + OTHER_BYTES
    needed, free = rows * row, _free_bytes()
    if free is not None and needed > free / 2:
        raise ConfigError(
            f"one update could take {needed / 1e9:.1f} GB ({rows:,} steps at most), "
            f"more than half of the {free / 1e9:.1f} GB that are free",
            smaller,
        )


def _free_bytes() -> int | None:
    """Memory that can be had without swapping; None where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
