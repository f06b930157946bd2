"""Group mode `text`: G answers to one prompt, compared with each other."""

from typing import cast

import numpy as np

from grpo_cli.errors import ConfigError
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.rollout import Floats, Ints, Rollout
from grpo_cli.text.asking import Asks
from grpo_cli.text.conversation import converse, pack
from grpo_cli.text.policy import TextPolicy
from grpo_cli.walk import players

__all__ = ["text"]


class text:  # noqa: N801 - a group mode is called by its config name
    """Sample groups of conversations that begin with one prompt.

    Args:
        asks: who asks.
        num_groups: prompts per update.
        group_size: answers to each prompt, G.
        seed: the run's seed.
        greedy: one more member per group says the most probable, to compare with (ReMax); nothing
            is learned from it.
        history: in later turns the prompt holds all that was said before; else what is asked alone.
    """

    def __init__(
        self,
        asks: Asks,
        num_groups: int,
        group_size: int,
        seed: int,
        greedy: bool = False,
        *,
        history: bool = True,
    ) -> None:
        if group_size < 1:
            raise ConfigError("a group has at least one member", "set group_size=8")
        self.asks = asks
        self.num_groups = num_groups
        self.group_size = group_size
        self.seed = seed
        self.greedy = greedy
        self.history = history

    def sample(self, policy: Policy, update: int, groups: range | None = None) -> Rollout:
        """Let every member talk.

        Args:
            policy: who answers, a `TextPolicy`.
            update: number of the policy update, part of every random number's address.
            groups: the groups to sample, the other part; None: the first `num_groups`.

        Returns:
            The learning members group by group, then the greedy ones, if any, of weight 0.

        Raises:
            EnvError: an environment raised.
            NonFinite: a reward is nan or inf.
        """
        groups = range(self.num_groups) if groups is None else groups
        first = [
            reset_seeds(rng(self.seed, Purpose.START, update, g), 1, Use.TRAIN) for g in groups
        ]
        seeds = np.repeat(np.concatenate(first), self.group_size)
        noise = ActionNoise(
            [rng(self.seed, Purpose.ACTION, update, group) for group in groups],
            self.group_size,
            width=1,
        )
        seeds, group, role = players(seeds, groups, self.group_size, greedy=self.greedy)
        speaker = cast("TextPolicy", policy)
        turns, talks, spent = converse(self.asks, speaker, seeds, drawn(noise), self.history)
        return pack(turns, talks, spent, group, seeds, role)


class drawn:  # noqa: N801 - called like a function
    """Noise for tokens; members beyond those it was made for are greedy.

    Args:
        noise: of the first members; None: all are greedy.
    """

    def __init__(self, noise: ActionNoise | None) -> None:
        self._noise = noise

    def __call__(self, step: Ints, member: Ints) -> Floats:
        """Return noise for members [B] at their own tokens [B]; nan: greedy."""
        if self._noise is None:
            return np.full(len(member), np.nan)
        greedy = member >= self._noise.members
        found = self._noise.at(step, np.where(greedy, 0, member))[:, 0]
        return np.where(greedy, np.nan, found)
