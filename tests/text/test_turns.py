"""Advantages over turns: tokens of a turn share what was made of it."""

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from builders import make_rollout

from grpo_cli.advantages import peer
from grpo_cli.config.files import shipped
from grpo_cli.text.turns import by_turn
from grpo_cli.tokens import Tokens


def settings(name, **other):
    node = shipped("advantage", name)
    return {**{key: value for key, value in node.items() if key != "name"}, **other}


def told(turns, group=None):
    """A rollout in words: of each member its turns, each (tokens, reward, state)."""
    flat = [turn for member in turns for turn in member]
    length = np.array([tokens for tokens, _, _ in flat])
    ends = np.cumsum(length)
    rewards, at = [], 0
    for member in turns:
        said = []
        for tokens, reward, _ in member:
            said += [0.0] * (tokens - 1) + [reward]
        rewards.append(said)
        at += len(said)
    text = np.repeat(np.arange(len(flat)), length)
    place = np.arange(at) - np.concatenate([[0], ends])[text]
    tokens = Tokens(
        torch.zeros(at, dtype=torch.int64),
        torch.from_numpy(np.concatenate([[0], ends])),
        torch.tensor([state for _, _, state in flat]),
        torch.from_numpy(np.stack([text, place], axis=1)),
    )
    return make_rollout(rewards, group, obs=tokens)


def test_one_turn_is_one_number_however_long_it_is():
    # Rewards 1 and 0, whatever the lengths: mean 1/2, deviation 1/2, advantages 1 and -1.
    rollout = told([[(3, 1.0, 0)], [(1, 0.0, 0)]])
    found = by_turn(partial(peer, **settings("outcome", eps=0.0)))(rollout, rollout.reward, 0.5)
    np.testing.assert_allclose(found.advantage, [1, 1, 1, -1])


def test_discounts_and_steps_are_those_of_turns():
    # Member 0: 1 now, 4 a turn later; discount 1/2: worth 1 + 2 = 3, then 4. Member 1: 2, then 0.
    rollout = told([[(2, 1.0, 0), (3, 4.0, 1)], [(4, 2.0, 0), (1, 0.0, 2)]])
    loo = settings("time_aligned", scale="none", fallback=[])
    found = by_turn(partial(peer, **loo))(rollout, rollout.reward, 0.5)
    # At the first turn 3 against 2, at the second 4 against 0.
    np.testing.assert_allclose(found.advantage, [1, 1, 4, 4, 4, -1, -1, -1, -1, -4])


def test_gigpo_compares_turns_that_were_asked_the_same():
    # Both were asked 0, then they part ways; the step level compares 5 with 1 there, nothing later.
    rollout = told([[(2, 0.0, 0), (1, 5.0, 1)], [(3, 1.0, 0)], [(1, 3.0, 9)]])
    gigpo = settings("gigpo", scale="none")
    gigpo["plus"] = [{"coef": 1.0, "value": "return_to_go", "key": "state", "scale": "none"}]
    found = by_turn(partial(peer, **gigpo))(rollout, rollout.reward, 1.0)
    # Episodes: 5, 1, 3 less their mean 3; steps at 0: 5 and 1 less 3.
    np.testing.assert_allclose(found.advantage, [4, 4, 2, -4, -4, -4, 0])


def test_what_needs_no_turns_is_left_as_it_is():
    rollout = told([[(3, 1.0, 0)], [(1, 0.0, 0)]])
    plain = replace(rollout, obs=torch.zeros(4, 1))
    np.testing.assert_allclose(
        by_turn(partial(peer, **settings("outcome")))(rollout, rollout.reward, 1.0).advantage,
        peer(plain, rollout.reward, 1.0, **settings("outcome")).advantage,
    )
