import math

import pytest
import torch
from builders import make_batch

from grpo_cli.distributions import Categorical, Outlook
from grpo_cli.losses import clip

FAMILY = Categorical(3)


def outlook(params, batch):
    return Outlook(FAMILY, params, FAMILY.logprob(params, batch.action))


def at_ratio(ratio, advantage, **settings):
    """Loss and measurements of one row whose probability has changed by `ratio`."""
    batch = make_batch(1, old_logprob=torch.zeros(1), advantage=torch.tensor([advantage]))
    logprob = torch.tensor([math.log(ratio)], requires_grad=True)
    loss, measured = clip(Outlook(FAMILY, torch.zeros(1, 3), logprob), batch, **settings)
    loss.backward()
    assert logprob.grad is not None
    return loss.item(), logprob.grad.item(), {name: mean.item() for name, mean in measured.items()}


def test_by_hand():
    # ratio 1.5, advantage 2: min(3, 1.2 * 2) = 2.4, no gradient
    loss, gradient, measured = at_ratio(1.5, 2.0)
    assert loss == pytest.approx(-2.4)
    assert gradient == 0
    assert measured["clip_ratio/high_mean"] == 1
    assert measured["clip_ratio/low_mean"] == 0
    # ratio 1.5, advantage -2: min(-3, -2.4) = -3, the gradient is not cut
    loss, gradient, measured = at_ratio(1.5, -2.0)
    assert loss == pytest.approx(3.0)
    assert gradient == pytest.approx(3.0)
    assert measured["clip_ratio/region_mean"] == 0
    # ratio .5, advantage -2: min(-1, -1.6) = -1.6, no gradient
    loss, gradient, measured = at_ratio(0.5, -2.0)
    assert loss == pytest.approx(1.6)
    assert gradient == 0
    assert measured["clip_ratio/low_mean"] == 1
    # the k3 estimate of KL(old || new): ratio - 1 - log ratio
    assert measured["approx_kl"] == pytest.approx(0.5 - 1 - math.log(0.5))


def test_bounds_can_differ():
    assert at_ratio(1.25, 1.0, eps_high=0.28)[1] != 0
    assert at_ratio(1.25, 1.0)[1] == 0
    assert at_ratio(0.7, -1.0, eps_low=0.4)[1] != 0
    assert at_ratio(1.3, 1.0, eps_low=0.4)[1] != 0  # without eps_high both bounds are eps_low


def test_at_ratio_one_the_gradient_is_reinforce():
    batch = make_batch(20)
    params = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    clipped, plain = params.clone().requires_grad_(), params.clone().requires_grad_()
    old = FAMILY.logprob(params, batch.action)
    batch = make_batch(20, old_logprob=old)
    clip(outlook(clipped, batch), batch)[0].backward()
    (-(FAMILY.logprob(plain, batch.action) * batch.advantage).mean()).backward()
    assert clipped.grad is not None
    assert plain.grad is not None
    assert torch.allclose(clipped.grad, plain.grad, atol=1e-7)


def test_rows_of_weight_zero_get_no_gradient_and_do_not_count():
    weight = torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 1.0])
    batch = make_batch(6, weight=weight)
    params = torch.randn(6, 3, generator=torch.Generator().manual_seed(2), requires_grad=True)
    loss, measured = clip(outlook(params, batch), batch)
    loss.backward()
    assert params.grad is not None
    assert (params.grad[weight == 0] == 0).all()
    kept = batch.rows(weight.nonzero()[:, 0])
    alone = clip(outlook(params.detach()[weight == 1], kept), kept)
    assert loss.item() == pytest.approx(alone[0].item())
    assert measured["approx_kl"].item() == pytest.approx(alone[1]["approx_kl"].item())


def test_zero_advantage_gives_zero_gradient():
    batch = make_batch(6, advantage=torch.zeros(6))
    params = torch.randn(6, 3, requires_grad=True)
    clip(outlook(params, batch), batch)[0].backward()
    assert params.grad is not None
    assert (params.grad == 0).all()
