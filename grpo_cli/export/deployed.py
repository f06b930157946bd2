"""A policy as one function: the environment's observations in, its greedy actions out.

Observations and actions of several entries have an input and an output for each, by path. A policy
that remembers takes its memory, zeros at the start of an episode, and returns what it is now.
"""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from grpo_cli.distributions import Family
from grpo_cli.envs import EnvSource
from grpo_cli.joint import Joint
from grpo_cli.observations import entries
from grpo_cli.policies import Policy
from grpo_cli.policies.activations import Tanh

DTYPES = {
    np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64,
    np.dtype(np.int64): torch.int64, np.dtype(np.int32): torch.int32,
    np.dtype(np.int16): torch.int16, np.dtype(np.int8): torch.int8,
    np.dtype(np.uint8): torch.uint8,
}  # fmt: skip
ACTION = "action"


class Deployed(nn.Module):
    """A policy with what stands before and behind it.

    Args:
        policy: trained; it is copied.
        source: the environment it was trained on.

    """

    def __init__(self, policy: Policy, source: EnvSource) -> None:
        super().__init__()
        self._policy = copy.deepcopy(policy).cpu().eval()
        _plain_tanh(self._policy)
        self.memory_size = policy.memory_size
        self.observation_space = source.observation_space
        self.action_space = source.action_space
        self._paths = list(entries(source.observation_space))
        self._actions = entries(source.action_space)
        families = list(_leaves(policy.family))
        self._widths = [family.num_outputs for family in families]
        self._decode = [
            decoder(space, squash=getattr(family, "squash", False))
            for space, family in zip(self._actions.values(), families, strict=True)
        ]

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs: `obs`, or one for each entry of the observation; `memory` last."""
        return [*(path or "obs" for path in self._paths), *["memory"] * self.remembers]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs: `action`, or `action.PATH` for each entry; params; memory."""
        actions = [f"{ACTION}.{path}" if path else ACTION for path in self._actions]
        return [*actions, "params", *["memory_after"] * self.remembers]

    @property
    def remembers(self) -> bool:
        """There is a memory."""
        return self.memory_size > 0

    def example(self, obs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Add to the entries of observations [B, *O] the memory of a start."""
        start = (torch.zeros(len(obs[0]), self.memory_size),)
        return (*obs, *(start if self.remembers else ()))

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Act greedily.

        Args:
            given: [B, *O] of each entry, as the environment gives it; the memory [B, S].

        Returns:
            Actions as the environment takes them, [B, *A] of each entry, distribution parameters
            [B, P], and the memory [B, S] where there is one.
        """
        obs = given[: len(self._paths)]
        seen = obs[0] if self._paths == [""] else dict(zip(self._paths, obs, strict=True))
        inside = self._policy
        after = ()
        if self.remembers:
            features, memory = inside.body.step(inside._seen(seen), given[-1])  # type: ignore[operator]
            after = (memory,)
        else:
            features = inside.body(inside._seen(seen))
        params = inside._params(inside.head(features), seen)
        # What the network gave, without the actions that a mask forbids.
        parts = params[:, : inside.head.out_features].split(self._widths, dim=1)
        actions = [decode(part) for decode, part in zip(self._decode, parts, strict=True)]
        return (*actions, params, *after)


def _leaves(family: Family) -> Iterator[Family]:
    """Yield the families of single entries, in the order of their outputs."""
    if isinstance(family, Joint):
        for part in family.parts:
            yield from _leaves(part)
    else:
        yield family


def decoder(space: spaces.Space, squash: bool) -> Callable[[Tensor], Tensor]:
    """Return `f(outputs of the network [B, P]) -> greedy actions [B, *A]`; see `envs.spaces`.

    Args:
        space: of the actions, or of one entry of them.
        squash: a Box is respected by tanh.
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
    return _box(space, squash)  # type: ignore[arg-type] - a Box: the codec took no other kind


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
