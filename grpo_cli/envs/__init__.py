"""Environments: opening an id, its spaces, and backends that step many members of it."""

from grpo_cli.envs.backends import Backend, Restarts, make_backend
from grpo_cli.envs.bandit import DynamicBandit
from grpo_cli.envs.catch import Catch
from grpo_cli.envs.reuse import settled
from grpo_cli.envs.simulators import Simulator, make_simulator
from grpo_cli.envs.source import EnvSource, open_env
from grpo_cli.envs.spaces import Codec
from grpo_cli.envs.sync import Sync
from grpo_cli.envs.tmaze import TMaze
from grpo_cli.envs.wrappers import Wrapper

__all__ = [
    "Backend",
    "Catch",
    "Codec",
    "DynamicBandit",
    "EnvSource",
    "Restarts",
    "Simulator",
    "Sync",
    "TMaze",
    "Wrapper",
    "make_backend",
    "make_simulator",
    "open_env",
    "settled",
]
