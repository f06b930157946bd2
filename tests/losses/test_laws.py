"""What holds for every loss."""

from functools import partial

import pytest
import torch
from builders import make_member_batch

from grpo_cli import losses
from grpo_cli.distributions import Categorical, Outlook

FAMILY = Categorical(3)
LENGTHS = (4, 2, 6)
ROWS = sum(LENGTHS)

# Every shipped loss, with its settings so that rows have the weight of the step mean.
LOSSES = {
    **{name: getattr(losses, name) for name in losses.__all__},
    "dual clip": partial(losses.clip, delta=3.0),
    "sequence": partial(losses.clip, ratio="sequence"),
    "trajectory": partial(losses.clip, ratio="trajectory"),
    "sapo": partial(losses.sapo, aggregate="step_mean"),
    "clip_cov": partial(losses.clip_cov, cov_low=1e9, cov_high=2e9),  # holds nothing back
    "kl_cov": partial(losses.kl_cov, cov_coef=0.0),
}
BY_STEP = sorted(set(LOSSES) - {"gmpo"})  # its ratio is only defined for whole members
AGGREGATED = {
    f"{name} {aggregate}": partial(getattr(losses, name), aggregate=aggregate, length=5.0)
    for name in ("clip", "reinforce", "cispo", "sapo")
    for aggregate in ("step_mean", "member_mean", "constant", "member_sum")
}
EVERY = {**LOSSES, **AGGREGATED}


def params(seed=1, rows=ROWS):
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, generator=noise).requires_grad_()


def outlook(logits, batch):
    return Outlook(FAMILY, logits, FAMILY.logprob(logits, batch.action))


def gradient(loss, logits, batch):
    value, measured = loss(outlook(logits, batch), batch)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.item(), gradient, measured


@pytest.mark.parametrize("name", BY_STEP)
def test_at_ratio_one_the_gradient_is_reinforce(name):
    logits, batch = params(), make_member_batch(LENGTHS)
    old = FAMILY.logprob(logits.detach(), batch.action)
    batch = make_member_batch(LENGTHS, old_logprob=old)
    plain = params()
    (-(FAMILY.logprob(plain, batch.action) * batch.advantage).mean()).backward()
    assert plain.grad is not None
    assert torch.allclose(gradient(LOSSES[name], logits, batch)[1], plain.grad, atol=1e-6)


def test_at_ratio_one_gmpo_spreads_the_mean_advantage_over_its_member():
    logits, batch = params(), make_member_batch(LENGTHS)
    one = torch.tensor([1.0, -2.0, 0.5])[batch.member]
    old = FAMILY.logprob(logits.detach(), batch.action)
    batch = make_member_batch(LENGTHS, old_logprob=old, advantage=one)
    expected = gradient(partial(losses.reinforce, aggregate="member_mean"), logits, batch)[1]
    assert torch.allclose(gradient(losses.gmpo, logits, batch)[1], expected, atol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_rows_of_weight_zero_get_no_gradient_and_do_not_count(name):
    # the second member has no weight at all, the third none at its last two steps
    weight = torch.tensor([1.0] * 4 + [0.0] * 2 + [1.0] * 4 + [0.0] * 2)
    batch, logits = make_member_batch(LENGTHS, weight=weight), params()
    kept = batch.rows(weight.nonzero()[:, 0])
    kept = make_member_batch(
        (4, 4),
        old_logprob=kept.old_logprob,
        advantage=kept.advantage,
        action=kept.action,
    )
    value, grad, measured = gradient(EVERY[name], logits, batch)
    alone = gradient(EVERY[name], logits.detach()[weight == 1].requires_grad_(), kept)
    assert (grad[weight == 0] == 0).all()
    assert torch.allclose(grad[weight == 1], alone[1], atol=1e-6)
    assert value == pytest.approx(alone[0], rel=1e-5)
    for key, mean in measured.items():
        assert mean.item() == pytest.approx(alone[2][key].item(), rel=1e-4, abs=1e-6), key


@pytest.mark.parametrize("name", EVERY)
def test_zero_advantage_gives_zero_gradient(name):
    batch = make_member_batch(LENGTHS, advantage=torch.zeros(ROWS))
    assert (gradient(EVERY[name], params(), batch)[1] == 0).all()


@pytest.mark.parametrize("name", EVERY)
def test_every_loss_measures_what_may_stop_the_update(name):
    logits, batch = params(), make_member_batch(LENGTHS)
    gap = (FAMILY.logprob(logits, batch.action) - batch.old_logprob).detach()
    measured = gradient(EVERY[name], logits, batch)[2]
    assert measured["approx_kl"].item() == pytest.approx((gap.exp() - 1 - gap).mean().item(), 1e-5)
    assert not any(mean.total.requires_grad for mean in measured.values())


@pytest.mark.parametrize("name", ["clip", "reinforce", "cispo", "sapo"])
def test_with_equal_lengths_all_means_are_one(name):
    # grpo == bnpo == dapo == dr_grpo with L = T, and luspo's sum is T times that
    batch, logits = make_member_batch((4, 4, 4)), params()

    def value(aggregate):
        loss = partial(getattr(losses, name), aggregate=aggregate, length=4.0)
        return gradient(loss, logits, batch)

    expected, slope, _ = value("step_mean")
    for aggregate, factor in (("member_mean", 1), ("constant", 1), ("member_sum", 4)):
        assert value(aggregate)[0] == pytest.approx(factor * expected, rel=1e-5)
        assert torch.allclose(value(aggregate)[1], factor * slope, atol=1e-6)
