"""A policy as one function: the environment's observations in, its greedy actions out."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from grpo_cli.envs import EnvSource
from grpo_cli.errors import ConfigError
from grpo_cli.observations import entries
from grpo_cli.policies import Policy
from grpo_cli.policies.activations import Tanh

DTYPES = {
    np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64,
    np.dtype(np.int64): torch.int64, np.dtype(np.int32): torch.int32,
    np.dtype(np.int16): torch.int16, np.dtype(np.int8): torch.int8,
    np.dtype(np.uint8): torch.uint8,
}  # fmt: skip


class Deployed(nn.Module):
    """A policy with what stands before and behind it.

    Args:
        policy: trained; it is copied.
        source: the environment it was trained on.

    Raises:
        ConfigError: the policy remembers, or actions are dicts or tuples.
    """

    def __init__(self, policy: Policy, source: EnvSource) -> None:
        super().__init__()
        if policy.by_member:
            raise ConfigError(
                "a policy with a memory cannot be exported yet",
                "grpo eval and grpo_cli.GRPO.load run it",
            )
        self._policy = copy.deepcopy(policy).cpu().eval()
        _plain_tanh(self._policy)
        self._paths = list(entries(source.observation_space))
        self._decode = decoder(source.action_space, squash=getattr(policy.family, "squash", False))

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs: `obs`, or one for each entry of the observation."""
        return [path or "obs" for path in self._paths]

    def forward(self, *obs: Tensor) -> tuple[Tensor, Tensor]:
        """Act greedily.

        Args:
            obs: [B, *O] of each entry, as the environment gives it.

        Returns:
            Actions as the environment takes them [B, *A], and distribution parameters [B, P].
        """
        seen = obs[0] if self._paths == [""] else dict(zip(self._paths, obs, strict=True))
        inside = self._policy
        params = inside._params(inside.head(inside.body(inside._seen(seen))), seen)
        # What the network gave, without the actions that a mask forbids.
        return self._decode(params[:, : inside.head.out_features]), params


def decoder(space: spaces.Space, squash: bool) -> Callable[[Tensor], Tensor]:
    """Return `f(outputs of the network [B, P]) -> greedy actions [B, *A]`; see `envs.spaces`.

    Raises:
        ConfigError: actions are dicts or tuples.
    """
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return lambda outputs: outputs.argmax(dim=1) + start
    shape = space.shape or ()
    if isinstance(space, spaces.MultiDiscrete):
        sizes, first = space.nvec.ravel().tolist(), torch.as_tensor(space.start)
        kind = DTYPES[np.dtype(space.dtype)]

        def choices(outputs: Tensor) -> Tensor:
            parts = [part.argmax(dim=1) for part in outputs.split(sizes, dim=1)]
            return (torch.stack(parts, dim=1).reshape(-1, *shape) + first).to(kind)

        return choices
    if isinstance(space, spaces.MultiBinary):
        kind = DTYPES[np.dtype(space.dtype)]
        return lambda outputs: (outputs > 0).to(kind).reshape(-1, *shape)
    if isinstance(space, spaces.Box):
        return _box(space, squash)
    raise ConfigError(
        f"actions of kind {type(space).__name__} cannot be exported",
        "offer them as Discrete, Box, MultiDiscrete or MultiBinary, by a wrapper",
    )


def _box(space: spaces.Box, squash: bool) -> Callable[[Tensor], Tensor]:
    bottom, top = space.low.ravel(), space.high.ravel()
    below, above = np.isfinite(bottom), np.isfinite(top)
    low = np.where(below, bottom, np.where(above, top - 2.0, -1.0))
    high = np.where(above, top, np.where(below, bottom + 2.0, 1.0))
    middle, half = (
        torch.as_tensor(x, dtype=torch.float32) for x in ((low + high) / 2, (high - low) / 2)
    )
    # Infinite ends would not survive every runtime.
    ends = [torch.as_tensor(np.clip(x, -3e38, 3e38), dtype=torch.float32) for x in (bottom, top)]
    whole, kind = np.issubdtype(space.dtype, np.integer), DTYPES[np.dtype(space.dtype)]

    def decode(outputs: Tensor) -> Tensor:
        mean = outputs[:, : len(low)]
        unit = torch.tanh(mean) if squash else mean
        scaled = torch.minimum(torch.maximum(middle + half * unit, ends[0]), ends[1])
        scaled = scaled.round() if whole else scaled
        return scaled.reshape(-1, *space.shape).to(kind)

    return decode


def _plain_tanh(module: nn.Module) -> None:
    """Put torch's own tanh in place of ours, whose shortcut no exporter knows."""
    for name, child in module.named_children():
        if isinstance(child, Tanh):
            setattr(module, name, nn.Tanh())
        else:
            _plain_tanh(child)
