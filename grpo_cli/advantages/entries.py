"""What is compared, and under which key."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grpo_cli.advantages.peers import has_spread, std_by
from grpo_cli.advantages.settings import Level
from grpo_cli.returns import returns_to_go
from grpo_cli.rollout import LEARN, Floats, Ints, Rollout, flat
from grpo_cli.sums import bincount


@dataclass(frozen=True)
class Entries:
    """What is compared: K members when the value is their return, else K = N rows."""

    value: Floats  # [K]
    place: Ints  # [K], the key without the group: 0, the step, or the number of the state
    key: Ints  # [K], group and place
    owner: Ints | None  # [K], member; None where no member has two entries under one key
    group: Ints  # [K]
    row: NDArray[np.intp]  # [N], the entry of each row


def make_entries(
    rollout: Rollout, reward: Floats, gamma: float, level: Level
) -> tuple[Entries, dict[str, float]]:
    """Return the entries of a level and what was measured while making them.

    Args:
        rollout: members that learn, and their rows.
        reward: scaled rewards, [N].
        gamma: discount per step.
        level: checked settings.
    """
    if level.value == "return":
        value = returns_to_go(reward, rollout.member, gamma)[rollout.first_row]
        place = np.zeros_like(rollout.group)
        key = place if level.key == "batch" else rollout.group
        return Entries(value, place, key, None, rollout.group, rollout.member), {}
    value, measured = reward, {}
    if level.value == "return_to_go":
        value = returns_to_go(reward, rollout.member, gamma)
    elif level.value == "process":
        value, measured = _process(rollout, reward, level)
    place = _place(rollout, level)
    key = place
    if level.key != "batch":
        key = rollout.group_N * (int(place.max()) + 1) + place
    owner = None if level.key == "group_step" else rollout.member
    return Entries(value, place, key, owner, rollout.group_N, np.arange(len(value))), measured


def _process(rollout: Rollout, reward: Floats, level: Level) -> tuple[Floats, dict[str, float]]:
    """Standardise each step's reward over all steps of its group, and sum those still to come.

    Source: Shao et al. 2024 (DeepSeekMath, arXiv:2402.03300), 4.1.3; undiscounted, as published.
    Centring the reward deletes the value of living on: where every step pays the same, nothing is
    left.
    """
    group = rollout.group_N
    mean = bincount(group, reward)[group] / np.bincount(group)[group]
    spread = has_spread(reward, group)
    scale = std_by(reward, group, level.ddof) + level.eps
    standard = np.where(spread, reward - mean, 0.0) / np.where(spread, scale, 1.0)
    (varied,) = rollout.ranks.moments(np.bincount(group, spread) > 0)
    constant = 1 - float(varied.mean)
    if constant == 1:
        warnings.warn(
            "advantage.value=process is zero for everyone: every step of a group pays the same, as"
            " in CartPole, and centring takes it away (advantage=time_aligned learns from length)",
            stacklevel=2,
        )
    value = returns_to_go(standard, rollout.member, 1.0)
    return value, {"advantage/constant_reward_frac": constant}


def _place(rollout: Rollout, level: Level) -> Ints:
    """Number each row's place within its group, [N]."""
    if level.key == "group_step":
        return rollout.step
    if level.key not in ("state", "bin"):
        return np.zeros_like(rollout.step)
    obs = flat(rollout.obs).numpy()
    if level.key == "bin":
        obs = np.round(obs.astype(np.float64) / level.bin_size)
    obs = np.ascontiguousarray(obs + 0)  # -0.0 becomes 0.0, which has other bytes
    as_bytes = obs.view(np.dtype((np.void, obs.itemsize * obs.shape[1])))
    if "all_groups" not in level.fallback:
        return np.unique(as_bytes.ravel(), return_inverse=True)[1]
    # Looked for among the groups of other ranks too: the same state has one number everywhere.
    width = obs.itemsize * obs.shape[1]
    seen, mine = rollout.ranks.whole(as_bytes.ravel().view(np.uint8).reshape(-1, width))
    whole = np.ascontiguousarray(seen).view(as_bytes.dtype).ravel()
    return np.unique(whole, return_inverse=True)[1][mine]


def learners(rollout: Rollout) -> tuple[Rollout, NDArray[np.intp]]:
    """Return the rollout without its baseline members, and the rows that remain."""
    learns = rollout.role == LEARN
    return rollout.members(learns), np.flatnonzero(learns[rollout.member])
