"""Environments: opening an id, its spaces, and backends that step many members of it."""

from grpo_cli.envs.backends import Backend, Restarts, correct, is_native, make_backend
from grpo_cli.envs.bandit import DynamicBandit
from grpo_cli.envs.bounds import Bounds
from grpo_cli.envs.catch import Catch
from grpo_cli.envs.native import NativeCartPole
from grpo_cli.envs.reuse import settled
from grpo_cli.envs.simulators import Simulator, make_simulator
from grpo_cli.envs.source import EnvSource, open_env
from grpo_cli.envs.spaces import Codec, check_tensors
from grpo_cli.envs.sync import Sync
from grpo_cli.envs.tmaze import TMaze
from grpo_cli.envs.watch import watched
from grpo_cli.envs.workers import Workers, persist
from grpo_cli.envs.wrappers import Wrapper

__all__ = [
    "Backend",
    "Bounds",
    "Catch",
    "Codec",
    "DynamicBandit",
    "EnvSource",
    "NativeCartPole",
    "Restarts",
    "Simulator",
    "Sync",
    "TMaze",
    "Workers",
    "Wrapper",
    "check_tensors",
    "correct",
    "is_native",
    "make_backend",
    "make_simulator",
    "open_env",
    "persist",
    "settled",
    "watched",
]
