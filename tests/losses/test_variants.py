"""Hand cases of single losses, identities between them, and what they ask of a minibatch."""

import math
from functools import partial

import pytest
import torch
from builders import make_batch, make_member_batch

from grpo_cli import losses
from grpo_cli.distributions import Categorical, Outlook
from grpo_cli.errors import ConfigError
from grpo_cli.losses import by_member, needs_members, needs_rows_only, per_member

FAMILY = Categorical(3)


def at(loss, ratios, advantages, **changes):
    """Loss and gradient for rows whose probability has changed by `ratios`, from log-prob -1."""
    rows = len(ratios)
    batch = make_member_batch(
        (rows,),
        old_logprob=torch.full((rows,), -1.0),
        advantage=torch.tensor(advantages),
        **changes,
    )
    logprob = torch.tensor([math.log(ratio) - 1 for ratio in ratios], requires_grad=True)
    value, measured = loss(Outlook(FAMILY, torch.zeros(rows, 3), logprob), batch)
    (gradient,) = torch.autograd.grad(value, logprob)
    return value.item(), gradient.tolist(), measured


def test_delta_bounds_the_loss_of_bad_actions():
    # ratio 8, advantage -2: the clipped loss is 16, with delta 3 it is 3 * 2 = 6
    assert at(losses.clip, [8.0], [-2.0])[0] == pytest.approx(16.0)
    value, gradient, _ = at(partial(losses.clip, delta=3.0), [8.0], [-2.0])
    assert (value, gradient) == (pytest.approx(6.0), [0.0])
    assert at(partial(losses.clip, delta=3.0), [2.5], [-2.0])[0] == pytest.approx(5.0)
    for ratio in (0.1, 1.0, 4.0, 50.0):  # good actions do not notice
        bounded = at(partial(losses.clip, delta=3.0), [ratio], [2.0])
        assert bounded[:2] == at(losses.clip, [ratio], [2.0])[:2]


def test_a_sequence_shares_the_geometric_mean_of_its_ratios():
    # ratios 2 and 1/2: their geometric mean is 1, nothing is clipped, each row keeps its own
    # credit: -1 * (1 * 3) and -1 * (1 * 1), over 2 rows
    loss = partial(losses.clip, ratio="sequence")
    value, gradient, measured = at(loss, [2.0, 0.5], [3.0, 1.0])
    assert value == pytest.approx(-2.0)
    assert gradient == pytest.approx([-1.5, -0.5])
    assert measured["clip_ratio/region_mean"].item() == 0


def test_a_trajectory_shares_the_product():
    # 1.1 * 1.1 = 1.21 is above 1.2: both rows are clipped; the geometric mean 1.1 is not
    value, gradient, _ = at(partial(losses.clip, ratio="trajectory"), [1.1, 1.1], [1.0, 1.0])
    assert value == pytest.approx(-1.2)
    assert gradient == [0.0, 0.0]
    assert at(partial(losses.clip, ratio="sequence"), [1.1, 1.1], [1.0, 1.0])[1] != [0.0, 0.0]


def test_ratios_of_members_are_bounded():
    # e^15 twice: the mean is bounded at e^10, the product at e^20
    huge = [math.exp(15.0)] * 2
    assert at(partial(losses.clip, ratio="sequence"), huge, [-1.0, -1.0])[0] == pytest.approx(
        math.exp(10), rel=1e-4
    )
    assert at(partial(losses.clip, ratio="trajectory"), huge, [-1.0, -1.0])[0] == pytest.approx(
        math.exp(20), rel=1e-4
    )


def test_gmpo_by_hand():
    # advantage 1: log-ratios .9 and -.3 become .4 and -.3, mean .05; both steps of advantage 1
    value, gradient, measured = at(losses.gmpo, [math.exp(0.9), math.exp(-0.3)], [1.0, 1.0])
    assert value == pytest.approx(-math.exp(0.05))
    assert gradient == pytest.approx([0.0, -math.exp(0.05) / 2])
    assert measured["clip_ratio/high_mean"].item() == 0.5
    # advantage -1: .9 stays, -.9 becomes -.4
    value, _, _ = at(losses.gmpo, [math.exp(0.9), math.exp(-0.9)], [-1.0, -1.0])
    assert value == pytest.approx(math.exp(0.25))


def test_the_gradient_of_cispo_is_the_clipped_weight_times_the_advantage():
    # weights min(2, 5) and min(9, 5), advantages 3 and -1, over 2 rows; no row is cut off
    value, gradient, measured = at(losses.cispo, [2.0, 9.0], [3.0, -1.0])
    assert gradient == pytest.approx([-2 * 3 / 2, 5 * 1 / 2])
    assert value == pytest.approx((-2 * 3 * (math.log(2) - 1) + 5 * (math.log(9) - 1)) / 2)
    assert measured["clip_ratio/region_mean"].item() == 0  # TRL counts the good actions


def test_sapo_by_hand():
    # advantage 1, tau 1: 4 sigmoid(0) = 2 at ratio 1
    assert at(losses.sapo, [1.0], [1.0])[0] == pytest.approx(-2.0)
    assert at(losses.sapo, [1.0], [-1.0])[0] == pytest.approx(2.0 / 1.05)


def test_vespo_by_hand():
    # ratios 2 and 1: w = 2; advantage 1: 2^2 e^(3 (1 - 2)); advantage -1: 2^3 e^(2 (1 - 2))
    _, gradient, measured = at(losses.vespo, [2.0, 1.0], [1.0, -1.0])
    good, bad = 4 * math.exp(-3), 8 * math.exp(-2)
    assert gradient == pytest.approx([-good / 2, bad / 2])
    assert measured["vespo/phi_seq_mean"].item() == pytest.approx((good + bad) / 2)


def test_clip_cov_holds_back_the_first_of_the_candidates():
    # log-probs log .5, log 1, log 2 less 1; centred -.69, 0, .69; advantages -2, 0, 2 are centred
    # already: covariances 1.39, 0, 1.39; one row is the least that is held back: the first
    loss = partial(losses.clip_cov, cov_low=1.0, cov_high=2.0)
    _, gradient, measured = at(loss, [0.9, 1.8, 3.6], [-2.0, 0.0, 2.0], weight=torch.ones(3))
    assert gradient[0] == 0
    assert measured["clip_ratio/cov_mean"].item() == pytest.approx(1 / 3)
    free = at(partial(loss, cov_high=1.1), [0.9, 1.8, 3.6], [-2.0, 0.0, 2.0])
    assert free[1][0] == pytest.approx(2 * 0.9 / 3)  # 1.39 is above 1.1: nothing is held back


def test_kl_cov_without_its_penalty_is_the_unclipped_surrogate():
    batch = make_batch(12)
    logprob = torch.randn(12, generator=torch.Generator().manual_seed(3))
    new = Outlook(FAMILY, torch.zeros(12, 3), logprob)
    plain = losses.all_action(new, batch)[0].item()
    assert losses.kl_cov(new, batch, cov_coef=0.0)[0].item() == pytest.approx(plain)
    assert losses.clip(new, batch, eps_low=1.0, eps_high=1e9)[0].item() == pytest.approx(plain)
    assert losses.kl_cov(new, batch)[0].item() > plain


def test_cispo_without_bounds_has_the_surrogates_gradient():
    batch = make_batch(12)
    logprob = torch.randn(12, generator=torch.Generator().manual_seed(3)).requires_grad_()
    new = Outlook(FAMILY, torch.zeros(12, 3), logprob)
    free = partial(losses.cispo, eps_low=1.0, eps_high=1e9)
    gradients = [
        torch.autograd.grad(loss(new, batch)[0], logprob)[0] for loss in (free, losses.all_action)
    ]
    assert torch.allclose(*gradients, atol=1e-6)


def test_all_action_is_the_exact_policy_gradient_of_a_bandit():
    # Two states, four arms each; the old policy is another than the new one.
    noise = torch.Generator().manual_seed(0)
    value = torch.randn(2, 4, generator=noise)
    old = torch.log_softmax(torch.randn(2, 4, generator=noise), dim=1)
    logits = torch.randn(2, 4, generator=noise, requires_grad=True)
    exact = (torch.softmax(logits, dim=1) * value).sum(dim=1).mean()
    (expected,) = torch.autograd.grad(-exact, logits)

    action = torch.arange(4).repeat(2)[:, None]
    params = logits.repeat_interleave(4, dim=0)
    new = Outlook(Categorical(4), params, Categorical(4).logprob(params, action))
    batch = make_batch(
        8,
        action=action,
        old_logprob=old.flatten(),
        weight=old.flatten().exp(),
        advantage=value.flatten(),
    )
    loss, _ = losses.all_action(new, batch)
    assert loss.item() == pytest.approx(-exact.item(), rel=1e-5)
    assert torch.allclose(torch.autograd.grad(loss, logits)[0], expected, atol=1e-6)


def test_losses_say_whether_they_need_whole_members():
    assert not needs_members(losses.clip)
    assert needs_members(partial(losses.clip, ratio="sequence"))
    assert needs_members(partial(losses.clip, aggregate="member_mean", eps_low=0.1))
    assert not needs_members(partial(losses.reinforce, aggregate="step_mean"))
    assert needs_members(losses.gmpo)
    assert needs_members(losses.vespo)
    assert needs_members(losses.sapo)
    assert not needs_members(losses.kl_cov)
    assert not needs_members(lambda new, batch: None)
    assert needs_members(by_member()(lambda new, batch: None))


def test_what_cannot_be_is_refused():
    batch = make_batch(2)
    new = Outlook(FAMILY, torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(ConfigError, match="needs whole members"):
        per_member(torch.zeros(2), batch)
    for settings, says in (
        ({"ratio": "token"}, "loss.ratio=token"),
        ({"aggregate": "token_mean"}, "loss.aggregate=token_mean"),
        ({"aggregate": "constant"}, "needs a length"),
        ({"aggregate": "member_mean"}, "needs whole members"),
    ):
        with pytest.raises(ConfigError, match=says):
            losses.clip(new, batch, **settings)


def test_losses_say_whether_their_rows_stand_alone():
    alone = {name for name in losses.__all__ if needs_rows_only(getattr(losses, name))}
    assert alone == {"all_action", "cispo", "clip", "reinforce"}
    assert needs_rows_only(partial(losses.sapo, aggregate="step_mean"))
    assert needs_rows_only(partial(losses.clip, eps_low=0.1))
    assert not needs_rows_only(partial(losses.clip, aggregate="member_mean"))
    assert not needs_rows_only(lambda new, batch: batch.weighted(new.logprob))  # nobody knows
