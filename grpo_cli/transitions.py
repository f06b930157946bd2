"""Rewards of a transition: `f(state, action, next_state)`, asked while simulating.

The signature of the sb3-grpo document: batches of torch tensors in, one reward for each out.
"""

import inspect
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Floats, tensors


def is_transition_reward(function: object) -> bool:
    """Say whether a function takes three things: a state, an action and the next state."""
    if not callable(function):
        return False
    parameters = inspect.signature(function).parameters.values()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [p for p in parameters if p.default is p.empty and p.kind in positional]
    return len(needed) == 3


class TransitionReward:
    """A person's reward function behind NumPy.

    Args:
        function: `f(state [B, *O], action [B, A], next_state [B, *O]) -> [B, 1] or [B]`, tensors;
            states with several entries are dicts of tensors by path, such as `a.0.b`; actions are
            the environment's own, next states those before any reset.
    """

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        self.function = function

    @torch.no_grad()
    def __call__(self, state: NDArray, action: NDArray, next_state: NDArray) -> Floats:
        """Return one reward for each of B transitions, [B].

        Raises:
            ConfigError: the function returned something of another shape.
        """
        rows = len(state)
        taken = torch.from_numpy(np.ascontiguousarray(np.reshape(action, (rows, -1))))
        before, after = (tensors(np.ascontiguousarray(obs)) for obs in (state, next_state))
        said = self.function(before, taken, after)
        name = getattr(getattr(self.function, "func", self.function), "__name__", "the reward")
        reward = torch.as_tensor(said).cpu().numpy().astype(np.float64)
        if reward.shape not in ((rows,), (rows, 1)):
            raise ConfigError(
                f"{name} returned shape {reward.shape} for {rows} transitions",
                "return one reward for each, a tensor of shape [batch, 1] or [batch]",
            )
        return reward.reshape(rows)
