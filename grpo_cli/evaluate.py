"""Scoring a policy: exactly N episodes on the plain Gymnasium environment, greedy or sampled."""

import logging
from typing import Literal

import numpy as np

from grpo_cli.envs import EnvSource, Sync, Workers, persist
from grpo_cli.gathering import gathered
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Episodes, Ints
from grpo_cli.walk import Outcome, walk

log = logging.getLogger(__name__)

Mode = Literal["greedy", "sampled"]
MODES: tuple[Mode, Mode] = ("greedy", "sampled")
SIDE_BY_SIDE = 50  # episodes stepped together: enough to batch the policy, few enough to hold


Scores = Episodes
"""Scores of E episodes."""


class Evaluator:
    """Plain environments, made once, for as many evaluations as are asked for.

    Args:
        source: the environment.
        seed: part of the address of starts and action noise.
        use: `Use.CHECK` while training, `Use.FINAL` for final scores: they share no start.
        timeout_s: the environments live in worker processes that have so long to answer; None: in
            this process. The scores are the same.
        ranks: the processes among which the episodes are dealt out.
    """

    def __init__(
        self,
        source: EnvSource,
        seed: int,
        use: Use,
        timeout_s: float | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.source = source
        self.seed = seed
        self.use = use
        self.timeout_s = timeout_s
        self.ranks = ranks
        self._backend: Sync | Workers | None = None
        self._width = 0

    def scores(self, policy: Policy, episodes: int, mode: Mode) -> Scores:
        """Play exactly `episodes` episodes, the same starts every time.

        Every episode counts, long or short: each has its own seed and is played to its end.

        Args:
            policy: who acts.
            episodes: how many, >= 1.
            mode: greedy takes the most probable action, sampled draws it.

        Raises:
            EnvError: the environment raised, or its workers died again and again.
        """
        mine = self.ranks.share(episodes)
        own = persist(lambda: self._scores(policy, episodes, mine, mode), "evaluating", log.warning)
        return gathered(own, self.ranks)

    def _scores(self, policy: Policy, episodes: int, mine: range, mode: Mode) -> Scores:
        if not mine:
            return Scores(np.zeros(0), np.zeros(0, dtype=np.int64), None)
        seeds = self.starts(episodes)
        width = min(len(mine), SIDE_BY_SIDE)
        if self._backend is None or self._width < width:
            self.close()
            self._backend, self._width = self._environments(width), width
        parts = []
        for first in range(mine.start, mine.stop, width):
            numbers = range(first, min(first + width, mine.stop))
            noise = None
            if mode == "sampled":
                generators = [rng(*self._address, number + 1) for number in numbers]
                noise = ActionNoise(generators, 1, policy.family.noise_width)
            chunk = seeds[numbers.start : numbers.stop]
            parts.append(walk(self._backend, self.source.codec, policy, chunk, noise))
        return _joined(parts)

    @property
    def _address(self) -> tuple[int, Purpose, int]:
        return self.seed, Purpose.EVAL, int(self.use)

    def starts(self, episodes: int) -> Ints:
        """Return the reset seeds of the first `episodes` episodes."""
        return reset_seeds(rng(*self._address), episodes, self.use)

    def _environments(self, width: int) -> Sync | Workers:
        if self.timeout_s is None:
            return Sync(self.source.make, width)
        return Workers(self.source.make, width, timeout_s=self.timeout_s)

    def close(self) -> None:
        """Close the environments."""
        if self._backend is not None:
            self._backend.close()
            self._backend = None


def _joined(parts: list[Outcome]) -> Scores:
    success = [part.success for part in parts if part.success is not None]
    return Scores(
        ret=np.concatenate([part.ret for part in parts]),
        length=np.concatenate([part.length for part in parts]),
        success=np.concatenate(success) if len(success) == len(parts) else None,
    )
