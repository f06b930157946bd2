"""Rounds of steps become a rollout: rows ordered by member, then time."""

import numpy as np
import torch
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.errors import NonFinite
from grpo_cli.frames import Frames, Stacks
from grpo_cli.rollout import LEARN, Episodes, Ints, Obs, Rollout, tensors
from grpo_cli.walk import Outcome, Round


class Rounds:
    """Rounds of steps, in the order in which they were played.

    Where observations are stacks of frames, it keeps the frames once, and in their place, in the
    column of a round, their numbers [B, K].
    """

    def __init__(self) -> None:
        self._rounds: list[Round] = []
        self._stacks: Stacks | None = None

    def append(self, step: Round, /) -> None:
        """Keep a round."""
        member, at, obs, action, logprob, reward = step
        if not self._rounds and Stacks.fit(obs):
            self._stacks = Stacks()
        if self._stacks is not None:
            obs = self._stacks.keep(member, obs)
        self._rounds.append((member, at, obs, action, logprob, reward))

    def columns(self) -> tuple[NDArray, ...]:
        """Return member, step, obs, action, logprob and reward of all rounds, [N] each."""
        return tuple(np.concatenate(column) for column in zip(*self._rounds, strict=True))

    def shown(self, obs: NDArray) -> Obs:
        """Return observations of rows from their column, [N]."""
        if self._stacks is None:
            return tensors(obs)
        return Frames(self._stacks.frames(), torch.from_numpy(obs))


@part("pack")
def pack(
    rounds: Rounds,
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
    member, step, obs, action, logprob, reward = rounds.columns()
    order = np.argsort(member, kind="stable")
    role = np.full(len(group), LEARN, dtype=np.int8) if role is None else role
    over = (outcome.terminated | outcome.truncated) & (role == LEARN)
    success = None if outcome.success is None else outcome.success[over]
    rollout = Rollout(
        obs=rounds.shown(obs[order]),
        action=torch.from_numpy(action[order]),
        logprob=logprob[order],
        reward=np.asarray(reward[order], dtype=np.float64),
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
    return finite(rollout)


@part("pack")
def finite(rollout: Rollout) -> Rollout:
    """Return a rollout that a policy can learn from.

    Raises:
        NonFinite: a reward or an observation is nan or inf; says where the first of them is.
    """
    obs = rollout.obs.frames if isinstance(rollout.obs, Frames) else rollout.obs
    seen = obs if isinstance(obs, dict) else {"": obs}
    columns = {f"observation {path}".rstrip(): values for path, values in seen.items()}
    for name, values in {**columns, "reward": torch.from_numpy(rollout.reward)}.items():
        if not values.is_floating_point() or (good := values.isfinite()).all():
            continue
        row = int(torch.nonzero(~good)[0, 0])
        member, step = rollout.member[row], rollout.step[row]
        if rollout.parent_step is not None:  # a look-ahead that began inside an episode
            step = step + rollout.parent_step[member]
        raise NonFinite(
            f"non-finite {name} at step {step} of the episode with seed {rollout.seed[member]}",
            "mend the environment or the reward function, or lower lr if the actions have grown "
            "without bound",
            rollout,
        )
    return rollout
