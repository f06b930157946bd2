"""Scoring a policy of words on prompts it was not trained on: greedy, sampled, and pass@k."""

from math import comb
from typing import cast

import numpy as np

from grpo_cli.evaluate import Mode, Scores
from grpo_cli.gathering import gathered
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.reward_functions import weighted
from grpo_cli.rollout import Floats, Ints, Rollout, join
from grpo_cli.text.asking import Asks
from grpo_cli.text.conversation import Talk, converse, pack
from grpo_cli.text.mode import drawn
from grpo_cli.text.policy import TextPolicy

SIDE_BY_SIDE = 128  # answers at once


class TextEvaluator:
    """What `evaluate.Evaluator` is for environments of numbers.

    Args:
        asks: who asks.
        reward: what an answer is worth.
        seed: part of the address of prompts and noise.
        use: `Use.CHECK` while training, `Use.FINAL` for final scores.
        ranks: the processes among which the prompts are dealt out.
        history: see the group mode.
        pass_at: reward from which an answer passes, where the task does not say.
    """

    def __init__(
        self,
        asks: Asks,
        reward: weighted,
        seed: int,
        use: Use,
        ranks: Ranks = ALONE,
        *,
        history: bool = True,
        pass_at: float = 1.0,
    ) -> None:
        self.asks, self.reward, self.ranks, self.history = asks, reward, ranks, history
        self.seed, self.use, self.pass_at = seed, use, pass_at

    def starts(self, episodes: int) -> Ints:
        """Return the seeds of the first prompts."""
        return reset_seeds(rng(self.seed, Purpose.EVAL, int(self.use)), episodes, self.use)

    def scores(self, policy: Policy, episodes: int, *modes: Mode) -> dict[Mode, Scores]:
        """Answer so many prompts once in each mode; the same prompts every time."""
        mine = self.ranks.share(episodes)
        return {
            mode: gathered(self._scores(policy, episodes, mode, mine), self.ranks) for mode in modes
        }

    def _scores(self, policy: Policy, episodes: int, mode: Mode, mine: range) -> Scores:
        if not mine:
            return Scores(np.zeros(0), np.zeros(0, dtype=np.int64), None)
        return Scores(*self.judged(self.answered(policy, episodes, 1, mode, mine)))

    def answered(
        self, policy: Policy, prompts: int, k: int, mode: Mode, numbers: range | None = None
    ) -> Rollout:
        """Answer prompts k times each; a group is a prompt."""
        seeds, parts = self.starts(prompts), []
        numbers = range(prompts) if numbers is None else numbers
        width = max(1, SIDE_BY_SIDE // k)
        for first in range(numbers.start, numbers.stop, width):
            chosen = range(first, min(first + width, numbers.stop))
            noise = None
            if mode == "sampled":
                address = self.seed, Purpose.EVAL, int(self.use)
                noise = ActionNoise([rng(*address, n + 1) for n in chosen], k, width=1)
            asked = np.repeat(seeds[chosen.start : chosen.stop], k)
            speaker = cast("TextPolicy", policy)
            turns, talks, spent = converse(self.asks, speaker, asked, drawn(noise), self.history)
            parts.append(pack(turns, talks, spent, np.repeat(chosen, k), asked))
        return join(parts)

    def judged(self, rollout: Rollout) -> tuple[Floats, Ints, np.ndarray]:
        """Return what members are worth, their tokens, and whether they pass, [M] each."""
        worth = rollout.per_member(self.reward(rollout).total)
        talks: list[Talk] = list(rollout.context) if rollout.context is not None else []
        passed = [
            w >= self.pass_at if talk.success is None else talk.success
            for talk, w in zip(talks, worth, strict=True)
        ]
        return worth, np.bincount(rollout.member), np.array(passed, dtype=bool)

    def close(self) -> None:
        """Nothing of its own is held."""


def pass_at_k(right: Ints, n: int, k: int) -> float:
    """Estimate the chance that one of k answers passes, without bias, mean over prompts.

    Source: Chen et al. 2021 (arXiv:2107.03374), equation 1.

    Args:
        right: answers that pass, of n, for each prompt.
        n: answers to each prompt.
        k: of them, at most n.
    """
    return float(np.mean([1 - comb(n - int(c), k) / comb(n, k) for c in right]))
