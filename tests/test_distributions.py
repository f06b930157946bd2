import numpy as np
import pytest
import torch
from torch.distributions import Categorical as Reference
from torch.distributions import Independent, Normal, TransformedDistribution, kl_divergence
from torch.distributions.transforms import TanhTransform

from grpo_cli.distributions import Categorical, Gaussian

LOGITS = torch.tensor([[0.3, -1.0, 2.0], [5.0, 5.0, -30.0], [0.0, 0.0, 0.0]])
ACTION = torch.tensor([[2], [0], [1]])
FAMILY = Categorical(3)


def test_torch_side_equals_torch_distributions():
    other = LOGITS.flip(0) * 0.5
    reference = Reference(logits=LOGITS)
    assert torch.allclose(FAMILY.logprob(LOGITS, ACTION), reference.log_prob(ACTION[:, 0]))
    assert torch.allclose(FAMILY.entropy(LOGITS), reference.entropy(), atol=1e-6)
    expected = kl_divergence(reference, Reference(logits=other))
    assert torch.allclose(FAMILY.kl(LOGITS, other), expected, atol=1e-6)
    assert FAMILY.kl(LOGITS, LOGITS).tolist() == [0, 0, 0]


def test_sampling_follows_the_probabilities():
    params = np.repeat(LOGITS[:1].numpy(), 100_000, axis=0)
    action, logprob = FAMILY.sample(params, np.random.default_rng(0).random((100_000, 1)))
    share = np.bincount(action[:, 0], minlength=3) / 100_000
    assert share == pytest.approx(torch.softmax(LOGITS[0], 0).numpy(), abs=0.005)
    expected = FAMILY.logprob(torch.from_numpy(params), torch.from_numpy(action))
    assert logprob == pytest.approx(expected.numpy(), abs=1e-6)


def test_inverse_cdf_by_hand():
    params = np.log(np.array([[0.2, 0.5, 0.3]], dtype=np.float32))
    for noise, expected in ((0.0, 0), (0.19, 0), (0.21, 1), (0.69, 1), (0.71, 2), (0.999999999, 2)):
        assert FAMILY.sample(params, np.array([[noise]]))[0].tolist() == [[expected]]


def test_an_impossible_choice_is_never_sampled():
    params = np.repeat(np.array([[0.0, -np.inf, 0.0]], dtype=np.float32), 10_000, axis=0)
    action, _ = FAMILY.sample(params, np.random.default_rng(0).random((10_000, 1)))
    assert set(np.unique(action)) == {0, 2}


def test_mode_is_the_largest_logit():
    assert FAMILY.mode(LOGITS.numpy())[:, 0].tolist() == [2, 0, 0]


PARAMS = torch.tensor([[0.3, -1.0, -0.5, 0.2], [2.0, 0.0, -2.0, 1.0]])
DRAW = torch.tensor([[0.1, 0.4], [1.9, -3.0]])


def torch_normal(params):
    return Independent(Normal(params[:, :2], params[:, 2:].exp()), 1)


def test_gaussian_equals_torch_distributions():
    family, other = Gaussian(2), PARAMS.flip(0)
    reference = torch_normal(PARAMS)
    assert torch.allclose(family.logprob(PARAMS, DRAW), reference.log_prob(DRAW))
    assert torch.allclose(family.entropy(PARAMS), reference.entropy())
    expected = kl_divergence(reference, torch_normal(other))
    assert torch.allclose(family.kl(PARAMS, other), expected)


def test_squashed_gaussian_equals_a_transformed_distribution():
    family = Gaussian(2, squash=True)
    squashed = TransformedDistribution(torch_normal(PARAMS), [TanhTransform(cache_size=1)])
    expected = squashed.log_prob(torch.tanh(DRAW.double()).float())
    assert torch.allclose(family.logprob(PARAMS, DRAW), expected, atol=2e-2)
    draws = torch_normal(PARAMS[:1].double()).sample(torch.Size([200_000]))[:, 0]
    entropy = -family.logprob(PARAMS[:1].double().expand(len(draws), -1), draws).mean()
    assert family.entropy(PARAMS[:1]).item() == pytest.approx(entropy.item(), abs=0.01)
    extreme = family.logprob(torch.zeros(1, 4), torch.tensor([[40.0, -40.0]]))
    assert torch.isfinite(extreme).all()


@pytest.mark.parametrize("squash", [False, True])
def test_gaussian_sampling_has_the_moments_and_the_logprob(squash):
    family = Gaussian(2, squash)
    params = np.repeat(PARAMS[:1].numpy(), 100_000, axis=0)
    action, logprob = family.sample(params, np.random.default_rng(0).random((100_000, 2)))
    assert action.mean(0) == pytest.approx([0.3, -1.0], abs=0.02)
    assert action.std(0) == pytest.approx(np.exp([-0.5, 0.2]), abs=0.02)
    expected = family.logprob(torch.from_numpy(params), torch.from_numpy(action))
    assert logprob == pytest.approx(expected.numpy(), abs=1e-3)
    assert np.isfinite(family.sample(params[:1], np.zeros((1, 2)))[0]).all()
    assert family.mode(params[:1]).tolist() == [pytest.approx([0.3, -1.0])]
