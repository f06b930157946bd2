"""A policy: a body that reads observations, a head, and the action distribution it feeds.

It acts (NumPy in, NumPy out) and it gives its outlook on a batch (torch, with gradient). It does
not learn; `update` does that.
"""

from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor, nn

from grpo_cli.distributions import Family, Outlook
from grpo_cli.errors import ConfigError
from grpo_cli.policies.fused import layers, perceptron
from grpo_cli.policies.mlp import Mlp, NumpyMlp
from grpo_cli.policies.normaliser import Normaliser
from grpo_cli.rollout import Batch

# Small last layer: the first policy is close to uniform (Andrychowicz et al. 2021,
# arXiv:2006.05990, 3.2).
HEAD_GAIN = 0.01


class Policy(nn.Module):
    """Body, head and distribution.

    Args:
        body: observations [B, *O] -> features [B, F].
        num_features: F.
        family: the action distribution.
        log_std: start of the family's free parameters, such as a Gaussian's log-stds.
        normaliser: what observations go through first, or None.
    """

    def __init__(
        self,
        body: nn.Module,
        num_features: int,
        family: Family,
        log_std: float = 0.0,
        normaliser: Normaliser | None = None,
    ) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.body = body
        self.head = nn.Linear(num_features, family.num_outputs)
        self.free = (
            nn.Parameter(torch.full((family.num_free,), log_std)) if family.num_free else None
        )
        self.family = family
        self._layers = layers(body, self.head) if isinstance(body, Mlp) else ()
        self._numpy: NumpyMlp | None = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the NumPy twin behind: in a copy its views would show the original's weights."""
        return {**self.__dict__, "_numpy": None}

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.head.weight.device

    def forward(self, obs: Tensor) -> Tensor:
        """Observations [B, *O] -> distribution parameters [B, P]."""
        outputs = self._outputs(obs if self.normaliser is None else self.normaliser(obs))
        if self.free is None:
            return outputs
        return torch.cat([outputs, self.free.expand(len(outputs), -1)], dim=1)

    def _outputs(self, obs: Tensor) -> Tensor:
        if self._layers and obs.device.type == "cpu" and not obs.requires_grad:
            return perceptron(obs.flatten(1).float(), self._layers)
        return self.head(self.body(obs))

    def observe(self, obs: Tensor) -> None:
        """Let the normaliser, where there is one, learn from observations [N, *O]."""
        if self.normaliser is not None:
            self.normaliser.observe(obs.to(self.device))

    def outlook(self, batch: Batch) -> Outlook:
        """Return what the policy now thinks of a batch, with gradient."""
        params = self(batch.obs)
        return Outlook(self.family, params, self.family.logprob(params, batch.action))

    def act(
        self, obs: NDArray, noise: NDArray[np.float64] | None
    ) -> tuple[NDArray, NDArray[np.float32]]:
        """Choose actions.

        Args:
            obs: [B, *O].
            noise: uniform numbers [B, W], or None to act greedily.

        Returns:
            Flat actions [B, A], and their log-probabilities [B] in nats (zeros when greedy).
        """
        params = self.params(obs)
        if noise is None:
            return self.family.mode(params), np.zeros(len(params), dtype=np.float32)
        return self.family.sample(params, noise)

    def params(self, obs: NDArray) -> NDArray[np.float32]:
        """Return distribution parameters without gradient, [B, P]."""
        if self._numpy is None and isinstance(self.body, Mlp) and self._follows():
            self._numpy = NumpyMlp(self.body, self.head, self.normaliser)
        if self._numpy is not None:
            outputs = self._numpy(obs)
            if self.free is None:
                return outputs
            free = np.broadcast_to(self.free.detach().numpy(), (len(outputs), self.family.num_free))
            return np.concatenate([outputs, free], axis=1)
        with torch.inference_mode():
            return self(torch.as_tensor(obs, device=self.device)).float().cpu().numpy()

    def _follows(self) -> bool:
        return NumpyMlp.fits(self.body, self.head)


def make_policy(
    make_body: Callable[..., nn.Module],
    space: spaces.Space,
    family: Family,
    generator: np.random.Generator,
    device: torch.device,
    *,
    log_std: float = 0.0,
    normalise: bool = False,
) -> Policy:
    """Build and initialise a policy.

    Weights are orthogonal with gain sqrt(2), the head's with gain .01, biases 0 (Engstrom et al.
    2020, arXiv:2005.12729, table 1; Andrychowicz et al. 2021, arXiv:2006.05990).

    Args:
        make_body: `f(space) -> nn.Module`.
        space: of the observations.
        family: the action distribution.
        generator: numbers for the initial weights.
        device: where the policy lives.
        log_std: start of a Gaussian's log-stds; actions span [-1, 1] in its unit.
        normalise: keep a running mean and variance of observations, and divide by it.

    Raises:
        ConfigError: the body does not return one row of features per observation.
    """
    body = make_body(space)
    with torch.inference_mode():
        example = torch.zeros((1, *(space.shape or ())), dtype=torch.float32)
        features = body(example)
    if features.ndim != 2 or len(features) != 1:
        raise ConfigError(
            f"the policy body returns shape {tuple(features.shape)} for one observation",
            "return features of shape [batch, features]",
        )
    normaliser = Normaliser(space.shape or ()) if normalise else None
    policy = Policy(body, features.shape[1], family, log_std, normaliser)
    noise = torch.Generator().manual_seed(int(generator.integers(2**62)))
    for layer in policy.modules():
        if isinstance(layer, nn.Linear):
            gain = HEAD_GAIN if layer is policy.head else 2**0.5
            nn.init.orthogonal_(layer.weight, gain=gain, generator=noise)
            nn.init.zeros_(layer.bias)
    return policy.to(device)
