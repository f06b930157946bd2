"""Building a policy: body, head and distribution, with their initial weights."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from grpo_cli.distributions import Categorical, Family, Gaussian
from grpo_cli.errors import ConfigError
from grpo_cli.joint import Joint
from grpo_cli.observations import find_mask
from grpo_cli.policies.flat import example
from grpo_cli.policies.normaliser import make_normaliser
from grpo_cli.policies.policy import Policy

# Small last layer: the first policy is close to uniform (Andrychowicz et al. 2021,
# arXiv:2006.05990, 3.2).
HEAD_GAIN = 0.01
# Bias of an LSTM's forget gate and a GRU's update gate, both the second: at first they keep what
# they hold (Jozefowicz et al. 2015, "An empirical exploration of recurrent network architectures").
KEEP = 1.0
INITS = ("orthogonal", "torch")
LAYERS = (nn.Linear, nn.Conv2d)


def make_policy(
    make_body: Callable[..., nn.Module],
    space: spaces.Space,
    family: Family,
    generator: np.random.Generator,
    device: torch.device,
    *,
    log_std: float = 0.0,
    normalise: bool = False,
    init: str = "orthogonal",
    head_gain: float = HEAD_GAIN,
) -> Policy:
    """Build and initialise a policy.

    Orthogonal weights have gain sqrt(2), the head's gain .01, biases are 0 (Engstrom et al. 2020,
    arXiv:2005.12729, table 1; Andrychowicz et al. 2021, arXiv:2006.05990).

    Args:
        make_body: `f(space) -> nn.Module`.
        space: of the observations; of a Dict with an entry `action_mask` the body gets the rest.
        family: the action distribution.
        generator: numbers for the initial weights.
        device: where the policy lives.
        log_std: start of a Gaussian's log-stds; actions span [-1, 1] in its unit.
        normalise: keep a running mean and variance of observations, and divide by it.
        init: weights of the body, `orthogonal`, or as its layers were made (`torch`).
        head_gain: size of the head's weights.

    Raises:
        ConfigError: the body does not return one row of features per observation.
    """
    seed = int(generator.integers(2**62))
    read, reading = find_mask(space, num_choices(family))
    # Layers draw their weights from torch's global generator, which is given back as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = make_body(read)
        normaliser = make_normaliser(read) if normalise else None
        policy = Policy(body, _num_features(body, read), family, log_std, normaliser, reading)
    noise = torch.Generator().manual_seed(seed)
    for layer in policy.modules():
        if isinstance(layer, LAYERS) and (init == "orthogonal" or layer is policy.head):
            gain = head_gain if layer is policy.head else 2**0.5
            nn.init.orthogonal_(layer.weight, gain=gain, generator=noise)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.RNNBase) and init == "orthogonal":
            for name, weight in layer.named_parameters():
                if name.startswith("weight"):
                    nn.init.orthogonal_(weight, generator=noise)
                else:
                    nn.init.zeros_(weight)
                if name.startswith("bias_ih"):
                    weight.detach()[layer.hidden_size : 2 * layer.hidden_size] = KEEP
    with torch.no_grad():
        policy.head.bias[list(_log_stds(family))] = log_std
    return policy.to(device)


@torch.inference_mode()
def _num_features(body: nn.Module, space: spaces.Space) -> int:
    remembers = getattr(body, "memory_size", 0)
    features: Tensor = body(example(space), [1]) if remembers else body(example(space))
    if features.ndim != 2 or len(features) != 1:
        raise ConfigError(
            f"the policy body returns shape {tuple(features.shape)} for one observation",
            "return features of shape [batch, features]",
        )
    return features.shape[1]


def num_choices(family: Family) -> int:
    """Count the entries that a mask of the actions has: all logits of choices, else 0."""
    parts = family.parts if isinstance(family, Joint) else (family,)
    choices = all(isinstance(part, Categorical) for part in parts)
    return family.num_outputs if choices else 0


def _log_stds(family: Family, first: int = 0) -> Iterator[int]:
    """Yield the outputs of the network that are log-stds."""
    if isinstance(family, Gaussian) and family.by_state:
        yield from range(first + family.size, first + 2 * family.size)
    for part in family.parts if isinstance(family, Joint) else ():
        yield from _log_stds(part, first)
        first += part.num_outputs
