"""Rounds of steps become a rollout: rows ordered by member, then time."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from grpo_cli.errors import NonFinite
from grpo_cli.rollout import LEARN, Episodes, Floats, Ints, Rollout, tensors
from grpo_cli.walk import Outcome, Round


def pack(
    rounds: Sequence[Round],
    group: Ints,
    seeds: Ints,
    outcome: Outcome,
    role: NDArray[np.int8] | None = None,
) -> Rollout:
    """Build a rollout.

    Args:
        rounds: what every round of steps left behind; their members number M.
        group: of each member, [M].
        seeds: what each member was reset with, [M].
        outcome: how the members ended, if they did, and what they cost.
        role: of each member, [M]; None: all are learned from.

    Raises:
        NonFinite: a reward or an observation is nan or inf.
    """
    member, step, obs, action, logprob, reward = (
        np.concatenate(column) for column in zip(*rounds, strict=True)
    )
    order = np.argsort(member, kind="stable")
    obs, reward = obs[order], np.asarray(reward[order], dtype=np.float64)
    check_finite(obs, reward)
    role = np.full(len(group), LEARN, dtype=np.int8) if role is None else role
    over = (outcome.terminated | outcome.truncated) & (role == LEARN)
    success = None if outcome.success is None else outcome.success[over]
    return Rollout(
        obs=tensors(obs),
        action=torch.from_numpy(action[order]),
        logprob=logprob[order],
        reward=reward,
        member=member[order],
        step=step[order],
        weight=(role == LEARN)[member[order]].astype(np.float64),
        group=group,
        seed=seeds,
        role=role,
        terminated=outcome.terminated,
        truncated=outcome.truncated,
        episodes=Episodes(outcome.ret[over], outcome.length[over], success),
        sim_steps=len(member),
        slot_steps=outcome.slot_steps,
        env_s=outcome.env_s,
        act_s=outcome.act_s,
    )


def check_finite(obs: NDArray, reward: Floats) -> None:
    """Refuse numbers that no policy can learn from."""
    columns = [(f"observation, in its entry {path}", obs[path]) for path in obs.dtype.names or ()]
    columns += [("reward", reward)] if columns else [("observation", obs), ("reward", reward)]
    for name, values in columns:
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise NonFinite(
                f"the environment returned a non-finite {name}",
                "mend the environment, or lower lr if the actions have grown without bound",
            )
