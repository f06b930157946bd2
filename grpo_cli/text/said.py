"""What is known of tokens, and the model without its adapter."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Obs


class Said:
    """What is known of tokens: the log-probability of each and the entropy there, [B, 2]."""

    noise_width = 1  # numbers that one token needs

    def logprob(self, params: Tensor, action: Tensor) -> Tensor:
        """Return log-probabilities in nats, [B]; the action is in the observation already."""
        return params[:, 0]

    def entropy(self, params: Tensor) -> Tensor:
        """Return entropies in nats, [B]."""
        return params[:, 1]

    def kl(self, params: Tensor, other: Tensor) -> Tensor:
        """Refuse: the exact divergence needs the probabilities of all tokens.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("kl=exact would need all tokens' probabilities", "write kl=k3")

    def score_norm(self, params: Tensor, action: Tensor) -> Tensor:
        """Refuse likewise.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            "advantage.baseline=score_norm would need all tokens' probabilities",
            "choose another advantage.baseline",
        )


class Base:
    """The model without its adapter: what the divergence of an adapted policy is measured from.

    Args:
        policy: adapted.
        without: makes the context in which the adapter is off.
    """

    by_member = True

    def __init__(
        self,
        policy: Any,  # noqa: ANN401 - a `TextPolicy`
        without: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._policy, self._without = policy, without
        self.family, self.device = policy.family, policy.device

    @torch.no_grad()
    def __call__(self, obs: Obs, lengths: Sequence[int] = ()) -> Tensor:
        """Return what is known of each row, [B, 2]."""
        with self._without():
            return self._policy(obs, lengths)

    def state_dict(self) -> dict[str, Tensor]:
        """Return nothing: the model's folder has it all."""
        return {}

    def parameters(self) -> tuple[Tensor, ...]:
        """Return what is learned: nothing."""
        return ()
