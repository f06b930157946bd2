"""Bits and joint actions beside torch.distributions and beside counting."""

import numpy as np
import pytest
import torch
from any_space import actions as action_spaces
from gymnasium import spaces
from hypothesis import given, settings
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Normal, kl_divergence

from grpo_cli.distributions import Categorical, Gaussian
from grpo_cli.envs.spaces import action_codec
from grpo_cli.joint import Bernoulli, Joint

RNG = np.random.default_rng(0)


def params_of(family, rows=5, seed=0):
    width = family.num_outputs + family.num_free
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def independent(family, params):
    """The distributions of torch that a family stands for, in the order of its columns."""
    if isinstance(family, Categorical):
        return [TorchCategorical(logits=params)]
    if isinstance(family, Bernoulli):
        return [TorchBernoulli(logits=params)]
    if isinstance(family, Gaussian):
        mean, log_std = params.chunk(2, dim=1)
        return [Normal(mean, log_std.exp())]
    found, output, free = [], 0, family.num_outputs
    for part in family.parts:
        own = [params[:, output : output + part.num_outputs]]
        own.append(params[:, free : free + part.num_free])
        output, free = output + part.num_outputs, free + part.num_free
        found += independent(part, torch.cat(own, dim=1))
    return found


def by_column(distributions, action, what):
    """Sum of log-probabilities over distributions that each take their columns."""
    total, first = torch.zeros(len(action)), 0
    for one in distributions:
        width = 1 if isinstance(one, TorchCategorical) else one.batch_shape[1]
        own = action[:, first : first + width]
        value = what(one, own[:, 0] if isinstance(one, TorchCategorical) else own.float())
        total += value if value.ndim == 1 else value.sum(dim=1)
        first += width
    assert first == action.shape[1]
    return total


@settings(max_examples=60)
@given(action_spaces)
def test_every_action_space_agrees_with_torch_and_is_obeyed(space):
    codec = action_codec("Env-v0", space)
    family = codec.family
    params, other = params_of(family), params_of(family, seed=1)
    noise = RNG.random((5, family.noise_width))
    action, logprob = family.sample(params, noise)
    assert action.shape == (5, family.num_columns)
    tensor, taken = torch.from_numpy(params), torch.from_numpy(action)
    parts = independent(family, tensor)
    expected = by_column(parts, taken, lambda one, own: one.log_prob(own))
    assert family.logprob(tensor, taken).numpy() == pytest.approx(expected.numpy(), abs=1e-3)
    assert logprob == pytest.approx(expected.numpy(), abs=1e-3)
    entropy = sum(e if e.ndim == 1 else e.sum(1) for e in (one.entropy() for one in parts))
    assert family.entropy(tensor).numpy() == pytest.approx(entropy.numpy(), abs=1e-4)
    pairs = zip(parts, independent(family, torch.from_numpy(other)), strict=True)
    divergence = sum(
        k if k.ndim == 1 else k.sum(1) for k in (kl_divergence(one, two) for one, two in pairs)
    )
    measured = family.kl(tensor, torch.from_numpy(other)).numpy()
    assert measured == pytest.approx(divergence.numpy(), rel=1e-4, abs=1e-4)
    for chosen in (action, family.mode(params)):
        assert chosen.dtype == action.dtype
        for native in codec.decode(chosen):
            assert space.contains(native), native


def test_the_score_norm_of_bits_is_that_of_their_gradient():
    family = Bernoulli(3)
    params = torch.from_numpy(params_of(family)).requires_grad_()
    action = torch.randint(0, 2, (5, 3), generator=torch.Generator().manual_seed(0))
    family.logprob(params, action).sum().backward()
    assert params.grad is not None
    expected = params.grad.square().sum(dim=1)
    assert torch.allclose(family.score_norm(params, action), expected, atol=1e-6)


def test_joint_score_norms_add_up():
    family = Joint((Categorical(3), Bernoulli(2)))
    params = torch.from_numpy(params_of(family)).requires_grad_()
    action = torch.tensor([[0, 1, 0], [2, 0, 0], [1, 1, 1], [0, 0, 1], [2, 1, 1]])
    family.logprob(params, action).sum().backward()
    assert params.grad is not None
    expected = params.grad.square().sum(dim=1)
    assert torch.allclose(family.score_norm(params, action), expected, atol=1e-6)


def test_bits_are_drawn_with_their_probabilities():
    params = np.tile(np.array([[-1.0, 0.0, 2.0]], np.float32), (20_000, 1))
    action, _ = Bernoulli(3).sample(params, np.random.default_rng(0).random((20_000, 3)))
    expected = 1 / (1 + np.exp(-params[0]))
    assert action.mean(axis=0) == pytest.approx(expected, abs=0.02)  # 5 standard errors


def test_actions_by_hand():
    space = spaces.Dict(
        move=spaces.MultiDiscrete([2, 3], start=[10, -1]),
        push=spaces.Tuple([spaces.Box(0, 4, (1,)), spaces.MultiBinary(2)]),
        turn=spaces.Discrete(3, start=-1),
    )
    codec = action_codec("Env-v0", space)
    # move 1, 2 | push .5 of [-1, 1] in [0, 4], bits 0, 1 | turn 0
    (native,) = codec.decode(np.array([[1, 2, 0.5, 0, 1, 0]], np.float32))
    assert native["move"].tolist() == [11, 1]
    assert native["push"][0].tolist() == [3.0]
    assert native["push"][1].tolist() == [0, 1]
    assert native["turn"] == -1


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(2.0, np.inf, 3.0), (-np.inf, 2.0, 1.0), (-np.inf, np.inf, 0.0), (-2.0, 6.0, 2.0)],
)
def test_zero_lies_inside_the_bounds(low, high, expected):
    codec = action_codec("Env-v0", spaces.Box(low, high, (1,)))
    assert codec.decode(np.zeros((1, 1)))[0] == expected


def test_whole_numbers_are_rounded():
    codec = action_codec("Env-v0", spaces.Box(0, 4, (1,), np.int32))
    # 2 + 2 * .3 = 2.6
    assert codec.decode(np.array([[0.3]])).tolist() == [[3]]
