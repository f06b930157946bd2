"""Errors that a person can act on: one line of what happened, one of what to do.

Each class carries the exit code of the process; only the doors (`cli`) print them.
"""

from typing import Any


class GrpoError(Exception):
    """Something went wrong that the user can understand.

    Args:
        what: one line, what happened.
        fix: one line, what to do about it; empty where nothing sensible can be said.
    """

    exit_code = 1

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


class EnvError(GrpoError):
    """The environment raised, or returned something impossible, or training failed."""


class ConfigError(GrpoError):
    """Words, a config file or an environment id cannot be used as they are."""

    exit_code = 2


class CheckpointError(GrpoError):
    """A run or checkpoint is missing, damaged, untrusted, or made for something else."""

    exit_code = 2


class MissingPackage(GrpoError):
    """An optional package is needed and not installed."""

    exit_code = 3


class NonFinite(GrpoError):
    """A loss, gradient, reward or observation is not a finite number.

    Args:
        what: one line.
        fix: one line.
        rollout: what was sampled, where it is that which is not finite.
    """

    exit_code = 4

    def __init__(self, what: str, fix: str = "", rollout: Any = None) -> None:  # noqa: ANN401
        super().__init__(what, fix)
        self.rollout = rollout


class BelowMinReward(GrpoError):
    """An evaluation stayed below `min_reward`."""

    exit_code = 5


class WorkerLost(EnvError):
    """A worker process of the environment died or hung; its work can be done again.

    Args:
        what: one line.
        fix: one line.
        details: its traceback, as far as it could still tell.
    """

    def __init__(self, what: str, fix: str = "", details: str = "") -> None:
        super().__init__(what, fix)
        self.details = details


class RankLost(EnvError):
    """Another process of the same training died or does not answer."""


class Stopped(GrpoError):
    """A run was asked to end early, and did.

    Args:
        what: one line.
        fix: how to go on.
        exit_code: 130 or 143.
    """

    def __init__(self, what: str, fix: str = "", exit_code: int = 143) -> None:
        super().__init__(what, fix)
        self.exit_code = exit_code
