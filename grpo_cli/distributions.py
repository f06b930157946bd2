"""Action distributions as the few operations they stand for, on flat parameters [B, P].

`torch.distributions` objects cost more than a small network does; these families hold no tensors.
Each comes twice: NumPy for acting, torch for learning. A test holds the two together.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]


class Density(Protocol):
    """What learning needs to know of action distributions."""

    def logprob(self, params: Tensor, action: Tensor) -> Tensor:
        """Return log-probabilities in nats, [B]."""
        ...

    def entropy(self, params: Tensor) -> Tensor:
        """Return entropies in nats, [B]."""
        ...

    def kl(self, params: Tensor, other: Tensor) -> Tensor:
        """Return the exact KL(params || other) in nats, [B]."""
        ...


class Family(Density, Protocol):
    """A family of action distributions that can be sampled."""

    @property
    def num_outputs(self) -> int:
        """Parameters that the network gives, for each observation."""
        ...

    @property
    def num_free(self) -> int:
        """Further parameters that are learned but do not depend on the observation."""
        ...

    @property
    def noise_width(self) -> int:
        """Uniform numbers that one action needs, W."""
        ...

    @property
    def num_columns(self) -> int:
        """Numbers that one flat action has, A."""
        ...

    def sample(self, params: Array, noise: NDArray[np.float64]) -> tuple[NDArray, Array]:
        """Turn uniform noise [B, W] into actions [B, A] and their log-probabilities [B]."""
        ...

    def mode(self, params: Array) -> NDArray:
        """Return the most probable actions, [B, A]."""
        ...

    def score_norm(self, params: Tensor, action: Tensor) -> Tensor:
        """Return the squared norm of the action's score, the gradient of its logprob, [B].

        With respect to what the network says about the action, not to its weights: a proxy that
        needs no backward pass (verl's optimal token baseline).
        """
        ...


@runtime_checkable
class Differentiated(Protocol):
    """A family whose gradients by the parameters are written out."""

    def score(self, params: Array, action: NDArray) -> tuple[Array, Array]:
        """Return log-probabilities [B], and their gradient, the score, [B, P]."""
        ...

    def entropy_slope(self, params: Array) -> tuple[Array, Array]:
        """Return entropies [B], and their gradient, [B, P]."""
        ...


@dataclass(frozen=True)
class Categorical:
    """One choice among `num_outputs`; the parameters are logits."""

    num_outputs: int
    num_free: int = 0
    noise_width: int = 1
    num_columns: int = 1

    def sample(self, params: Array, noise: NDArray[np.float64]) -> tuple[NDArray, Array]:
        """Sample by inverse CDF; actions are int64, [B, 1]."""
        shifted = params - params.max(axis=1, keepdims=True)
        mass = np.exp(shifted).cumsum(axis=1)
        total = mass[:, -1]
        # The last choice takes what rounding leaves over.
        action = (noise * total[:, None] >= mass[:, :-1]).sum(axis=1)
        logprob = shifted[np.arange(len(action)), action] - np.log(total)
        return action[:, None], logprob

    def mode(self, params: Array) -> NDArray:
        """Return the choice with the largest logit, the first of equals."""
        return params.argmax(axis=1)[:, None]

    def logprob(self, params: Tensor, action: Tensor) -> Tensor:
        """Return log-softmax at the action."""
        return torch.log_softmax(params, dim=1).gather(1, action)[:, 0]

    def score(self, params: Array, action: NDArray) -> tuple[Array, Array]:
        """Return log-softmax at the action, and one there less all probabilities."""
        shifted = params - params.max(axis=1, keepdims=True)
        chosen = np.arange(len(params)), action[:, 0]
        score = np.exp(shifted)
        total = score.sum(axis=1)
        score /= -total[:, None]
        score[chosen] += 1
        return shifted[chosen] - np.log(total), score

    def entropy_slope(self, params: Array) -> tuple[Array, Array]:
        """Return the exact entropy H, and -p (log p + H)."""
        logp = params - params.max(axis=1, keepdims=True)
        logp -= np.log(np.exp(logp).sum(axis=1, keepdims=True))
        p = np.exp(logp)
        entropy = -(p * logp).sum(axis=1)
        return entropy, -p * (logp + entropy[:, None])

    def entropy(self, params: Tensor) -> Tensor:
        """Return the exact entropy."""
        logp = torch.log_softmax(params, dim=1)
        return -(logp.exp() * logp).sum(dim=1)

    def kl(self, params: Tensor, other: Tensor) -> Tensor:
        """Return the exact divergence, summed over the choices."""
        logp = torch.log_softmax(params, dim=1)
        return (logp.exp() * (logp - torch.log_softmax(other, dim=1))).sum(dim=1)

    def score_norm(self, params: Tensor, action: Tensor) -> Tensor:
        """Return that with respect to the logits: 1 - 2 p(a) + sum of all p^2."""
        p = torch.softmax(params, dim=1)
        return 1 - 2 * p.gather(1, action)[:, 0] + p.square().sum(dim=1)


@dataclass(frozen=True)
class Gaussian:
    """Independent normals, one for each of D numbers; the parameters are D means, D log-stds.

    With `squash` an action is tanh of a normal draw. The flat action stays the draw itself, so
    that log-probabilities need no inverse of tanh near its ends; `codec.decode` squashes it.

    Attributes:
        size: D.
        squash: see above.
        by_state: the network gives the log-stds too; otherwise they are parameters of their own.
    """

    size: int
    squash: bool = False
    by_state: bool = False

    @property
    def num_outputs(self) -> int:
        """Means, and log-stds where they depend on the observation."""
        return 2 * self.size if self.by_state else self.size

    @property
    def num_free(self) -> int:
        """One log-std for each number, unless they depend on the observation."""
        return 0 if self.by_state else self.size

    @property
    def noise_width(self) -> int:
        """One uniform number for each."""
        return self.size

    @property
    def num_columns(self) -> int:
        """D."""
        return self.size

    def sample(self, params: Array, noise: NDArray[np.float64]) -> tuple[NDArray, Array]:
        """Draw mean + std * z; actions are float32, [B, D]."""
        mean, log_std = params[:, : self.size], params[:, self.size :]
        z = normal_quantile(noise).astype(np.float32)
        draw = mean + np.exp(log_std) * z
        logprob = (-0.5 * z * z - log_std - HALF_LOG_2PI).sum(axis=1)
        if self.squash:
            logprob -= _log_slope_numpy(draw).sum(axis=1)
        return draw, logprob.astype(np.float32)

    def mode(self, params: Array) -> NDArray:
        """Return the means."""
        return params[:, : self.size]

    def logprob(self, params: Tensor, action: Tensor) -> Tensor:
        """Return the log-density of the flat action's effect, squashed or not."""
        mean, log_std = params.split(self.size, dim=1)
        z = (action - mean) * (-log_std).exp()
        logprob = (-0.5 * z.square() - log_std - HALF_LOG_2PI).sum(dim=1)
        return logprob - _log_slope(action).sum(dim=1) if self.squash else logprob

    def score(self, params: Array, action: NDArray) -> tuple[Array, Array]:
        """Return the log-density, and its gradient: z / std for means, z^2 - 1 for log-stds."""
        mean, log_std = params[:, : self.size], params[:, self.size :]
        z = (action - mean) * np.exp(-log_std)
        logprob = (-0.5 * z * z - log_std - HALF_LOG_2PI).sum(axis=1)
        if self.squash:  # its slope depends on the action alone
            logprob -= _log_slope_numpy(action).sum(axis=1)
        return logprob, np.concatenate([z * np.exp(-log_std), z * z - 1], axis=1)

    def entropy_slope(self, params: Array) -> tuple[Array, Array]:
        """Return what `entropy` does; its gradient is 1 by a log-std, 0 by a mean, but for tanh."""
        mean, log_std = params[:, : self.size], params[:, self.size :]
        entropy = (log_std + 0.5 + HALF_LOG_2PI).sum(axis=1)
        by_mean, by_log_std = np.zeros_like(mean), np.ones_like(log_std)
        for node, weight in zip(*HERMITE, strict=True) if self.squash else ():
            reach = np.exp(log_std) * np.float32(node)
            draw = mean + reach
            entropy += np.float32(weight) * _log_slope_numpy(draw).sum(axis=1)
            turn = np.float32(-2 * weight) * np.tanh(draw)
            by_mean += turn
            by_log_std += turn * reach
        return entropy, np.concatenate([by_mean, by_log_std], axis=1)

    def entropy(self, params: Tensor) -> Tensor:
        """Return the differential entropy; for tanh by 16-point Gauss-Hermite quadrature."""
        mean, log_std = params.split(self.size, dim=1)
        entropy = (log_std + 0.5 + HALF_LOG_2PI).sum(dim=1)
        if not self.squash:
            return entropy
        nodes, weights = (torch.as_tensor(a, dtype=mean.dtype, device=mean.device) for a in HERMITE)
        draws = mean[:, None] + log_std.exp()[:, None] * nodes[None, :, None]
        return entropy + (_log_slope(draws) * weights[None, :, None]).sum(dim=(1, 2))

    def kl(self, params: Tensor, other: Tensor) -> Tensor:
        """Return the exact divergence; tanh is one-to-one and leaves it as it is."""
        mean, log_std = params.split(self.size, dim=1)
        mean_o, log_std_o = other.split(self.size, dim=1)
        ratio = (2 * (log_std - log_std_o)).exp()
        gap = ((mean - mean_o) * (-log_std_o).exp()).square()
        return (0.5 * (ratio + gap - 1) + log_std_o - log_std).sum(dim=1)

    def score_norm(self, params: Tensor, action: Tensor) -> Tensor:
        """Return that with respect to the means in units of the std: the sum of z^2."""
        mean, log_std = params.split(self.size, dim=1)
        return ((action - mean) * (-log_std).exp()).square().sum(dim=1)


HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_points, _weights = np.polynomial.hermite_e.hermegauss(16)
HERMITE = (_points, _weights / _weights.sum())


def normal_quantile(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn uniform numbers in [0, 1) into standard normal ones, any shape."""
    from scipy.special import ndtri

    # ndtri(0) is -inf; the smallest number above 0 is 8 standard deviations out.
    return ndtri(np.maximum(noise, 1e-16))


def _log_slope(draw: Tensor) -> Tensor:
    """log(1 - tanh(u)^2) without cancellation for large u."""
    return 2 * (math.log(2) - draw - torch.nn.functional.softplus(-2 * draw))


def _log_slope_numpy(draw: NDArray) -> NDArray:
    return 2 * (math.log(2) - draw - np.logaddexp(0, -2 * draw))


@dataclass(frozen=True)
class Outlook:
    """What the policy now thinks of a batch's actions; what losses look at.

    Attributes:
        family: the action distribution.
        params: its parameters, [B, P], with gradient.
        logprob: of the batch's actions, nats, [B], with gradient.
    """

    family: Density
    params: Tensor
    logprob: Tensor

    def entropy(self) -> Tensor:
        """Return the entropy at each row, nats, [B]."""
        return self.family.entropy(self.params)

    def kl(self, reference: Tensor) -> Tensor:
        """Return the exact KL(now || reference) at each row, nats, [B]."""
        return self.family.kl(self.params, reference)
