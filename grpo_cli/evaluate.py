"""Scoring a policy: exactly N episodes on the plain Gymnasium environment, greedy or sampled."""

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs import EnvSource, Sync, Workers, persist
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.rollout import Floats, Ints
from grpo_cli.walk import Outcome, walk

log = logging.getLogger(__name__)

Mode = Literal["greedy", "sampled"]
MODES: tuple[Mode, Mode] = ("greedy", "sampled")
SIDE_BY_SIDE = 50  # episodes stepped together: enough to batch the policy, few enough to hold


@dataclass(frozen=True)
class Scores:
    """Scores of E episodes."""

    ret: Floats  # [E], raw return
    length: Ints  # [E], steps
    success: NDArray[np.bool_] | None  # [E]


class Evaluator:
    """Plain environments, made once, for as many evaluations as are asked for.

    Args:
        source: the environment.
        seed: part of the address of starts and action noise.
        use: `Use.CHECK` while training, `Use.FINAL` for final scores: they share no start.
        timeout_s: the environments live in worker processes that have so long to answer; None: in
            this process. The scores are the same.
    """

    def __init__(
        self, source: EnvSource, seed: int, use: Use, timeout_s: float | None = None
    ) -> None:
        self.source = source
        self.seed = seed
        self.use = use
        self.timeout_s = timeout_s
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
        return persist(lambda: self._scores(policy, episodes, mode), "evaluating", log.warning)

    def _scores(self, policy: Policy, episodes: int, mode: Mode) -> Scores:
        seeds = self.starts(episodes)
        width = min(episodes, SIDE_BY_SIDE)
        if self._backend is None or self._width < width:
            self.close()
            self._backend, self._width = self._environments(width), width
        parts = []
        for first in range(0, episodes, width):
            chunk = seeds[first : first + width]
            noise = None
            if mode == "sampled":
                numbers = range(first + 1, first + 1 + len(chunk))
                generators = [rng(*self._address, number) for number in numbers]
                noise = ActionNoise(generators, 1, policy.family.noise_width)
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
