"""Scoring a policy: exactly N episodes on the plain Gymnasium environment, greedy or sampled."""

import logging
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from grpo_cli.envs import Backend, EnvSource, NativeCartPole, Sync, Workers, is_native, persist
from grpo_cli.gathering import gathered
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Episodes, Ints, join_episodes
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
        self._backend: Backend | None = None
        self._width = 0

    def scores(self, policy: Policy, episodes: int, *modes: Mode) -> dict[Mode, Scores]:
        """Play exactly `episodes` episodes in each mode, the same starts every time.

        Every episode counts, long or short: each has its own seed and is played to its end. Those
        of both modes are stepped together: a round costs little more for twice as many.

        Args:
            policy: who acts.
            episodes: how many, >= 1.
            modes: greedy takes the most probable action, sampled draws it.

        Raises:
            EnvError: the environment raised, or its workers died again and again.
        """
        mine = self.ranks.share(episodes)
        own = persist(lambda: self._own(policy, episodes, mine, modes), "evaluating", log.warning)
        return {mode: gathered(scores, self.ranks) for mode, scores in own.items()}

    def _own(
        self, policy: Policy, episodes: int, mine: range, modes: Sequence[Mode]
    ) -> dict[Mode, Scores]:
        seeds = self.starts(episodes)
        width = min(len(mine), SIDE_BY_SIDE // len(modes))
        parts: dict[Mode, list[Outcome]] = {mode: [] for mode in modes}
        for first in range(mine.start, mine.stop, max(width, 1)):
            numbers = range(first, min(first + width, mine.stop))
            backend = self._environments(width * len(modes))
            for mode, outcome in self._walk(backend, policy, seeds, numbers, modes).items():
                parts[mode].append(outcome)
        return {mode: _joined(outcomes) for mode, outcomes in parts.items()}

    def _walk(
        self,
        backend: Backend,
        policy: Policy,
        seeds: Ints,
        numbers: range,
        modes: Sequence[Mode],
    ) -> dict[Mode, Outcome]:
        """Play the episodes of these numbers in each mode, side by side."""
        noise = None
        if "sampled" in modes:
            generators = [rng(*self._address, number + 1) for number in numbers]
            noise = ActionNoise(generators, 1, policy.family.noise_width)
        starts = np.tile(seeds[numbers.start : numbers.stop], len(modes))
        outcome = walk(backend, self.source.codec, policy, starts, noise)
        # Those with noise come first.
        order = sorted(modes, key=lambda mode: mode != "sampled")
        edges = [len(numbers) * place for place in range(len(modes) + 1)]
        spans = zip(order, pairwise(edges), strict=True)
        return {mode: outcome.members(slice(a, b)) for mode, (a, b) in spans}

    @property
    def _address(self) -> tuple[int, Purpose, int]:
        return self.seed, Purpose.EVAL, int(self.use)

    def starts(self, episodes: int) -> Ints:
        """Return the reset seeds of the first `episodes` episodes."""
        return reset_seeds(rng(*self._address), episodes, self.use)

    def _environments(self, width: int) -> Backend:
        """Return so many environments or more, those of the last call where they are enough."""
        if self._backend is None or self._width < width:
            self.close()
            self._backend, self._width = self._made(width), width
        return self._backend

    def _made(self, width: int) -> Backend:
        if self.timeout_s is not None:
            return Workers(self.source.make, width, timeout_s=self.timeout_s)
        if is_native(self.source):  # the plain environment's numbers, bit for bit
            return NativeCartPole(self.source.make, width, self.source.max_steps)
        return Sync(self.source.make, width)

    def close(self) -> None:
        """Close the environments."""
        if self._backend is not None:
            self._backend.close()
            self._backend = None


def _joined(parts: list[Outcome]) -> Scores:
    if not parts:
        return Scores(np.zeros(0), np.zeros(0, dtype=np.int64), None)
    whole = join_episodes([Episodes(part.ret, part.length, part.success) for part in parts])
    return Scores(whole.ret, whole.length, whole.success)
