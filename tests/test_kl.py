import pytest
import torch
from builders import make_batch

from grpo_cli import kl
from grpo_cli.distributions import Categorical, Gaussian, Outlook
from grpo_cli.errors import ConfigError
from grpo_cli.kl import KlCoef

FAMILY = Categorical(4)
ESTIMATORS = [getattr(kl, name) for name in kl.__all__]


def policies(seed=0):
    noise = torch.Generator().manual_seed(seed)
    new = torch.randn(1, 4, generator=noise).requires_grad_()
    return new, torch.randn(1, 4, generator=noise)


def expected(estimator, new, other, direction):
    """Value and gradient that sampling from the new policy gives on average: all four actions."""
    action = torch.arange(4)[:, None]
    params, reference = new.expand(4, -1), other.expand(4, -1)
    batch = make_batch(4, action=action, reference=reference)
    outlook = Outlook(FAMILY, params, FAMILY.logprob(params, action))
    kl_B = estimator(outlook, batch, direction=direction)
    mean = (outlook.logprob.detach().exp() * kl_B).sum()
    return mean.item(), torch.autograd.grad(mean, new)[0]


@pytest.mark.parametrize("direction", kl.DIRECTIONS)
@pytest.mark.parametrize("estimator", [kl.k1, kl.k3, kl.straight_through])
def test_on_average_the_estimators_are_the_exact_divergence(estimator, direction):
    new, other = policies()
    exact, _ = expected(kl.exact, new, other, direction)
    assert exact > 0.1
    assert expected(estimator, new, other, direction)[0] == pytest.approx(exact, rel=1e-5)


def test_the_exact_divergence_by_hand():
    # p = (1/2, 1/2), q = (1/4, 3/4): log 2 / 2 + log(2/3) / 2; the other way log(1/2) / 4 + ...
    p, q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.75]]).log()
    two = Categorical(2)
    batch = make_batch(1, reference=q)
    new = Outlook(two, p, two.logprob(p, torch.zeros(1, 1, dtype=torch.int64)))
    assert kl.exact(new, batch).item() == pytest.approx(0.14384, abs=1e-5)
    assert kl.exact(new, batch, direction="forward").item() == pytest.approx(0.13081, abs=1e-5)


def test_gradients_in_the_loss():
    new, other = policies()
    _, reverse = expected(kl.exact, new, other, "reverse")
    _, forward = expected(kl.exact, new, other, "forward")

    def gradient(estimator, direction="reverse"):
        return expected(estimator, new, other, direction)[1]

    assert torch.allclose(gradient(kl.k1), torch.zeros(1, 4), atol=1e-6)  # regularises nothing
    assert torch.allclose(gradient(kl.k2), reverse, atol=1e-6)
    assert torch.allclose(gradient(kl.k3), forward, atol=1e-6)  # that of the other direction
    assert torch.allclose(gradient(kl.straight_through), reverse, atol=1e-6)
    assert torch.allclose(gradient(kl.straight_through, "forward"), forward, atol=1e-6)
    assert not torch.allclose(reverse, forward, atol=1e-2)


@pytest.mark.parametrize("direction", kl.DIRECTIONS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_nothing_at_the_reference_and_never_below_zero(estimator, direction):
    params = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    batch = make_batch(50, choices=4, reference=params)
    new = Outlook(FAMILY, params, FAMILY.logprob(params, batch.action))
    assert estimator(new, batch, direction=direction).abs().max() < 1e-6
    other = Outlook(FAMILY, -params, FAMILY.logprob(-params, batch.action))
    away = estimator(other, batch, direction=direction)
    assert (away.min() < 0) if estimator is kl.k1 else (away.min() >= 0)


def test_k3_of_many_samples_is_the_exact_divergence_of_gaussians():
    # means 0 and .5, standard deviations 1: .5^2 / 2 = .125
    family, rows = Gaussian(1), 200_000
    params = torch.zeros(rows, 2)
    action = torch.randn(rows, 1, generator=torch.Generator().manual_seed(0))
    batch = make_batch(rows, action=action, reference=torch.tensor([[0.5, 0.0]]).expand(rows, 2))
    new = Outlook(family, params, family.logprob(params, action))
    assert kl.exact(new, batch)[0].item() == pytest.approx(0.125)
    assert kl.k3(new, batch).mean().item() == pytest.approx(0.125, abs=0.003)


def test_what_cannot_be_is_refused():
    new, other = policies()
    outlook = Outlook(FAMILY, new, torch.zeros(1))
    with pytest.raises(ValueError, match="needs reference"):
        kl.k3(outlook, make_batch(1))
    for estimator in ESTIMATORS:
        with pytest.raises(ConfigError, match="direction=both"):
            estimator(outlook, make_batch(1, reference=other), direction="both")


def test_the_coefficient_follows_its_target():
    # kl is twice the target: + 20 % at most, times 1,000 of 10,000 rows
    coef = KlCoef(0.5, target=0.1)
    coef.observe(0.2, 1_000)
    assert coef.value == pytest.approx(0.5 * 1.02)
    coef.observe(0.09, 5_000)  # 10 % below, half a horizon
    assert coef.value == pytest.approx(0.5 * 1.02 * 0.95)
    coef.observe(0.0, 10**9)  # however long the rollout, it stays above 0
    assert coef.value > 0
    fixed = KlCoef(0.5)
    fixed.observe(9.0, 1_000)
    assert fixed.value == 0.5
    fixed.load(coef.state())
    assert fixed.value == coef.value
