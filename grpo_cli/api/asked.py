"""A person's policy as an update sees a policy: it is asked for log-probabilities, nothing else."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from grpo_cli.api.sampled import Sampled
from grpo_cli.distributions import Outlook
from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Batch, Obs, flat


@runtime_checkable
class PolicyModel(Protocol):
    """Who acts. States and actions are whatever the person likes; n lists are flat."""

    def generate_actions(
        self, states: list[Any], num_actions_per_state: int, **kwargs: Any
    ) -> list[list[Any]]:
        """Return so many actions for each state."""
        ...

    def get_log_probabilities(self, states: list[Any], actions: list[Any]) -> Tensor:
        """Return log-probabilities in nats with gradient, [n], one for each pair."""
        ...

    def get_parameters(self) -> dict[str, Tensor]:
        """Return what is learned, by name."""
        ...

    def train(self) -> Any:
        """Prepare for learning."""
        ...

    def eval(self) -> Any:
        """Prepare for acting."""
        ...

    def to(self, device: Any) -> Any:
        """Move to a device."""
        ...


@runtime_checkable
class RewardModel(Protocol):
    """Who judges."""

    def compute_rewards(self, states: list[Any], actions: list[Any]) -> Tensor:
        """Return rewards [n], or pairwise wins [n, n], 1 where the row beat the column."""
        ...

    def train(self) -> Any:
        """Prepare for learning."""
        ...

    def eval(self) -> Any:
        """Prepare for judging."""
        ...

    def to(self, device: Any) -> Any:
        """Move to a device."""
        ...


class Asked:
    """A policy whose observations are the numbers of the pairs it was asked about.

    Args:
        model: the person's policy.
        device: where it lives.
    """

    family = Sampled()
    by_member = False

    def __init__(self, model: PolicyModel, device: torch.device) -> None:
        self.model = model
        self.device = device
        self.pairs: tuple[list[Any], list[Any]] = [], []
        self._before = torch.empty(0)

    def ask(self, states: list[Any], actions: list[Any]) -> Tensor:
        """Take up n pairs; returns their log-probabilities before the update, [n]."""
        self.pairs = states, actions
        with torch.no_grad():
            self._before = self._logprobs(range(len(states))).detach()
        return self._before

    def __call__(self, obs: Obs, lengths: Sequence[int] = ()) -> Tensor:
        """Numbers of pairs [B, 1] -> log-probability now and before the update, [B, 2]."""
        rows = flat(obs)[:, 0]
        before = self._before[rows]
        # Only the update itself asks with gradient; without, nothing has changed since `ask`.
        now = self._logprobs(rows.tolist()) if torch.is_grad_enabled() else before
        return torch.stack([now, before], dim=1)

    def outlook(self, batch: Batch) -> Outlook:
        """Return what the policy now thinks of a batch."""
        params = self(batch.obs)
        return Outlook(self.family, params, params[:, 0])

    def parameters(self) -> list[Tensor]:
        """Return what an optimizer can move."""
        own: Callable[[], Any] | None = getattr(self.model, "parameters", None)
        tensors = self.model.get_parameters().values() if own is None else own()
        return [tensor for tensor in tensors if tensor.requires_grad]

    def has_gradient(self) -> bool:
        """Say whether log-probabilities depend on the parameters in a way torch can follow."""
        return bool(self.parameters()) and self._logprobs([0]).requires_grad

    def _logprobs(self, rows: Sequence[int]) -> Tensor:
        states, actions = ([column[row] for row in rows] for column in self.pairs)
        logprob = self.model.get_log_probabilities(states, actions)
        if logprob.shape != (len(states),):
            raise ConfigError(
                f"get_log_probabilities returned {tuple(logprob.shape)} for {len(states)} pairs",
                "return one log-probability for each pair, a tensor of shape [n]",
            )
        return logprob.to(self.device)
