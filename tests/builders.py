"""Small things that many tests need, built by hand; every one can be overridden."""

from functools import partial
from typing import Any

import numpy as np
import torch

from grpo_cli.envs import EnvSource, make_backend, open_env
from grpo_cli.groups import episodes
from grpo_cli.policies import Policy, make_policy, mlp
from grpo_cli.randomness import Purpose, rng
from grpo_cli.rollout import LEARN, Batch, Episodes, Rollout, Scored


def make_rollout(
    rewards: list[list[float]], group: list[int] | None = None, **changes: Any
) -> Rollout:
    """Build a rollout from the rewards of each member; all in one group unless said otherwise."""
    length = np.array([len(member) for member in rewards])
    rows = int(length.sum())
    reward = np.concatenate([np.asarray(member, dtype=float) for member in rewards])
    member = np.repeat(np.arange(len(rewards)), length)
    step = np.concatenate([np.arange(count) for count in length])
    fields: dict[str, Any] = {
        "obs": torch.zeros(rows, 2),
        "action": torch.zeros(rows, 1, dtype=torch.int64),
        "logprob": np.zeros(rows, dtype=np.float32),
        "reward": reward,
        "member": member,
        "step": step,
        "weight": np.ones(rows),
        "group": np.array(group or [0] * len(rewards)),
        "seed": np.zeros(len(rewards), dtype=np.int64),
        "role": np.full(len(rewards), LEARN, dtype=np.int8),
        "terminated": np.ones(len(rewards), dtype=bool),
        "truncated": np.zeros(len(rewards), dtype=bool),
        "episodes": Episodes(np.bincount(member, reward), length, None),
        "sim_steps": rows,
        "slot_steps": rows,
        "env_s": 0.0,
        "act_s": 0.0,
    }
    return Rollout(**{**fields, **changes})


def make_scored(rollout: Rollout, advantage: np.ndarray) -> Scored:
    """Give a rollout advantages."""
    return Scored(rollout, rollout.reward, advantage, np.zeros(rollout.num_groups, dtype=bool))


def make_batch(rows: int = 6, choices: int = 3, seed: int = 0, **changes: Any) -> Batch:
    """Build a random batch for a categorical policy."""
    noise = torch.Generator().manual_seed(seed)
    fields: dict[str, Any] = {
        "obs": torch.randn(rows, 4, generator=noise),
        "action": torch.randint(choices, (rows, 1), generator=noise),
        "old_logprob": -torch.rand(rows, generator=noise),
        "advantage": torch.randn(rows, generator=noise),
        "weight": torch.ones(rows),
        "reference": None,
    }
    return Batch(**{**fields, **changes})


def cartpole(**changes: Any) -> EnvSource:
    """Open CartPole."""
    return open_env("CartPole-v1", **changes)


def make_cartpole_policy(
    source: EnvSource, seed: int = 0, hidden: tuple[int, ...] = (16,)
) -> Policy:
    """Build a small policy for a source."""
    return make_policy(
        partial(mlp, hidden=hidden),
        source.observation_space,
        source.codec.family,
        rng(seed, Purpose.INIT),
        torch.device("cpu"),
    )


def make_sampler(source: EnvSource, backend: str = "sync", **changes: Any) -> episodes:
    """Build a sampler of 2 groups of 3 members."""
    settings: dict[str, Any] = {"num_groups": 2, "group_size": 3, "seed": 0, **changes}
    members = settings["num_groups"] * (settings["group_size"] + settings.get("greedy", False))
    return episodes(make_backend(backend, source, members)[0], source.codec, **settings)
