"""Distributions of actions that have several parts, which are independent given the state."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softplus

from grpo_cli.distributions import Array, Categorical, Family


@dataclass(frozen=True)
class Bernoulli:
    """D independent bits; the parameters are logits of 1."""

    num_outputs: int
    num_free: int = 0

    @property
    def noise_width(self) -> int:
        """One uniform number for each."""
        return self.num_outputs

    @property
    def num_columns(self) -> int:
        """D."""
        return self.num_outputs

    def sample(self, params: Array, noise: NDArray[np.float64]) -> tuple[NDArray, Array]:
        """Draw 1 where the noise is below its probability; actions are int64, [B, D]."""
        action = (noise < 1 / (1 + np.exp(-params.astype(np.float64)))).astype(np.int64)
        logprob = action * params - np.logaddexp(0, params)
        return action, logprob.sum(axis=1).astype(np.float32)

    def mode(self, params: Array) -> NDArray:
        """Return 1 where it is the more probable."""
        return (params > 0).astype(np.int64)

    def logprob(self, params: Tensor, action: Tensor) -> Tensor:
        """Return log sigmoid, summed over the bits."""
        return (action * params - softplus(params)).sum(dim=1)

    def entropy(self, params: Tensor) -> Tensor:
        """Return the exact entropy, softplus(x) - x sigmoid(x), summed."""
        return (softplus(params) - params * params.sigmoid()).sum(dim=1)

    def kl(self, params: Tensor, other: Tensor) -> Tensor:
        """Return the exact divergence, summed over the bits."""
        gap = params.sigmoid() * (params - other)
        return (gap - softplus(params) + softplus(other)).sum(dim=1)

    def score_norm(self, params: Tensor, action: Tensor) -> Tensor:
        """Return that with respect to the logits: the sum of (a - p)^2."""
        return (action - params.sigmoid()).square().sum(dim=1)


class _Span(NamedTuple):
    """Where one part finds its own."""

    family: Family
    outputs: slice
    free: slice
    noise: slice
    columns: slice


@dataclass(frozen=True)
class Joint:
    """Several families side by side: log-probabilities, entropies and divergences add up.

    The parameters are the outputs of all parts, then the free parameters of all parts.
    """

    parts: tuple[Family, ...]

    @property
    def num_outputs(self) -> int:
        """The sum over the parts; so are the others."""
        return sum(part.num_outputs for part in self.parts)

    @property
    def num_free(self) -> int:
        """See `num_outputs`."""
        return sum(part.num_free for part in self.parts)

    @property
    def noise_width(self) -> int:
        """See `num_outputs`."""
        return sum(part.noise_width for part in self.parts)

    @property
    def num_columns(self) -> int:
        """See `num_outputs`."""
        return sum(part.num_columns for part in self.parts)

    @cached_property
    def _spans(self) -> list[_Span]:
        sizes = [(p.num_outputs, p.num_free, p.noise_width, p.num_columns) for p in self.parts]
        ends = np.cumsum(sizes, axis=0)
        starts = ends - sizes
        starts[:, 1] += self.num_outputs
        ends[:, 1] += self.num_outputs
        return [
            _Span(part, *(slice(int(a), int(b)) for a, b in zip(start, end, strict=True)))
            for part, start, end in zip(self.parts, starts, ends, strict=True)
        ]

    def sample(self, params: Array, noise: NDArray[np.float64]) -> tuple[NDArray, Array]:
        """Sample every part; actions are int64 if all parts' are, else float32, [B, A]."""
        pairs = [
            span.family.sample(_own(params, span, np.concatenate), noise[:, span.noise])
            for span in self._spans
        ]
        logprobs = np.stack([logprob for _, logprob in pairs])
        return _columns([action for action, _ in pairs]), logprobs.sum(axis=0)

    def mode(self, params: Array) -> NDArray:
        """Return the mode of every part, [B, A]."""
        found = [span.family.mode(_own(params, span, np.concatenate)) for span in self._spans]
        return _columns(found)

    def logprob(self, params: Tensor, action: Tensor) -> Tensor:
        """Return the sum of the parts'."""
        return _sum(p.logprob(own, taken) for p, own, taken in self._with_actions(params, action))

    def entropy(self, params: Tensor) -> Tensor:
        """Return the sum of the parts'."""
        return _sum(span.family.entropy(_own(params, span, torch.cat)) for span in self._spans)

    def kl(self, params: Tensor, other: Tensor) -> Tensor:
        """Return the sum of the parts'."""
        return _sum(
            span.family.kl(_own(params, span, torch.cat), _own(other, span, torch.cat))
            for span in self._spans
        )

    def score_norm(self, params: Tensor, action: Tensor) -> Tensor:
        """Return the sum of the parts'."""
        return _sum(p.score_norm(own, a) for p, own, a in self._with_actions(params, action))

    def _with_actions(
        self, params: Tensor, action: Tensor
    ) -> Iterator[tuple[Family, Tensor, Tensor]]:
        for span in self._spans:
            taken = action[:, span.columns]
            whole = isinstance(span.family, Categorical)  # indexes with its action
            yield span.family, _own(params, span, torch.cat), taken.long() if whole else taken


def _own(params: Any, span: _Span, join: Any) -> Any:  # noqa: ANN401 - both of NumPy and of torch
    """Return the parameters of one part."""
    outputs = params[:, span.outputs]
    return join([outputs, params[:, span.free]], 1) if span.family.num_free else outputs


def _columns(parts: list[NDArray]) -> NDArray:
    whole = all(np.issubdtype(part.dtype, np.integer) for part in parts)
    return np.concatenate(parts, axis=1, dtype=np.int64 if whole else np.float32)


def _sum(values: Iterator[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum(dim=0)
