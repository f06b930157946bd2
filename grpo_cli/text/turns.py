"""Advantages over turns: an action is what was said in one turn, whatever its number of tokens."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from grpo_cli.advantages import Estimate
from grpo_cli.rollout import Floats, Rollout
from grpo_cli.sums import bincount
from grpo_cli.tokens import Tokens, spoken

Advantage = Callable[..., Estimate | Floats]


def by_turn(advantage: Advantage) -> Advantage:
    """Let an advantage see turns in the place of rows; every token gets its turn's.

    Steps, discounts and equal states are then those of turns. What a turn is worth is the sum over
    its tokens.

    Args:
        advantage: `f(rollout, reward, gamma, ...)`.
    """

    def estimate(rollout: Rollout, reward: Floats, gamma: float, **given: Any) -> Estimate:  # noqa: ANN401
        tokens = spoken(rollout.obs)
        _, first, of = np.unique(tokens.turn, return_index=True, return_inverse=True)
        turns = _turns(rollout, tokens, first, of)
        found = advantage(turns, bincount(of, reward, len(first)), gamma, **given)
        result = found if isinstance(found, Estimate) else Estimate(np.asarray(found, float))
        return replace(result, advantage=result.advantage[of])

    return estimate


def _turns(rollout: Rollout, tokens: Tokens, first: np.ndarray, of: np.ndarray) -> Rollout:
    """Return the rollout with a row for each turn: `first`, its first row; `of`, of each row."""
    member = rollout.member[first]
    number = np.arange(len(first))
    begins = np.searchsorted(member, np.arange(len(rollout.group)))
    return replace(
        rollout,
        obs=tokens.stacked()[torch.from_numpy(first)],
        action=torch.from_numpy(number)[:, None],
        logprob=bincount(of, rollout.logprob.astype(np.float64)).astype(np.float32),
        reward=bincount(of, rollout.reward),
        member=member,
        step=number - begins[member],
        weight=rollout.weight[first],
    )
