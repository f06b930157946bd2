"""Acting: from distribution parameters to actions, and members that remember."""

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grpo_cli.clock import part
from grpo_cli.distributions import Family
from grpo_cli.rollout import Ints


class Remembers(Protocol):
    """What `Recall` asks of a policy."""

    @property
    def family(self) -> Family:
        """Its action distribution."""
        ...

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        ...

    @property
    def memory_size(self) -> int:
        """Numbers of one member's memory."""
        ...

    def step(self, obs: NDArray, memory: Tensor) -> tuple[NDArray[np.float32], Tensor]:
        """Go on by one step; see `Policy.step`."""
        ...


class Acts(Protocol):
    """Acts for members, each of which may have a memory of its own."""

    def __call__(
        self,
        obs: NDArray,
        noise: NDArray[np.float64] | None,
        member: Ints,
        greedy: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Choose actions.

        Args:
            obs: [B, *O].
            noise: uniform numbers [B, W]; None: all act greedily.
            member: of each row, [B].
            greedy: rows [B] that act greedily all the same.

        Returns:
            Flat actions [B, A], and their log-probabilities [B] in nats (zeros when greedy).
        """
        ...


class Recall:
    """A policy that acts for members, and what each of them remembers; see `Acts`.

    Args:
        policy: remembers.
    """

    def __init__(self, policy: Remembers) -> None:
        self._policy = policy
        self._memory = torch.zeros((0, policy.memory_size), device=policy.device)

    def __call__(
        self,
        obs: NDArray,
        noise: NDArray[np.float64] | None,
        member: Ints,
        greedy: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Choose actions, and remember what was seen."""
        missing = int(member.max()) + 1 - len(self._memory)
        if missing > 0:  # members that start now
            self._memory = torch.cat([self._memory, self._memory.new_zeros(missing, self.width)])
        rows = torch.from_numpy(member).to(self._policy.device)
        params, after = self._policy.step(obs, self._memory[rows])
        self._memory[rows] = after
        return choose(self._policy.family, params, noise, greedy)

    @property
    def width(self) -> int:
        """Numbers of one member's memory."""
        return self._policy.memory_size


@part("choose")
def choose(
    family: Family,
    params: NDArray[np.float32],
    noise: NDArray[np.float64] | None,
    greedy: NDArray[np.bool_] | None = None,
) -> tuple[NDArray, NDArray[np.float32]]:
    """Choose actions from distribution parameters [B, P]; see `Acts`."""
    if noise is None:
        return family.mode(params), np.zeros(len(params), dtype=np.float32)
    action, logprob = family.sample(params, noise)
    if greedy is not None and greedy.any():
        action[greedy], logprob[greedy] = family.mode(params[greedy]), 0.0
    return action, logprob
