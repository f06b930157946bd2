import copy

import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy, make_sampler

from grpo_cli import kl
from grpo_cli.distributions import Categorical, Gaussian
from grpo_cli.survey import NEEDS, survey


def rollout_and_policies():
    policy = make_cartpole_policy(cartpole())
    reference = copy.deepcopy(policy)
    torch.nn.init.normal_(policy.head.weight, generator=torch.Generator().manual_seed(0))
    return make_sampler(cartpole()).sample(policy, 0), policy, reference


def test_only_what_is_named_is_measured():
    rollout, policy, reference = rollout_and_policies()
    rows = rollout.reward.shape
    found = survey(policy, reference, rollout, NEEDS)
    assert {name: value.shape for name, value in found.items()} == dict.fromkeys(NEEDS, rows)
    assert all(value.dtype == np.float64 for value in found.values())
    assert set(survey(policy, reference, rollout, ["kl"])) == {"kl"}
    assert set(survey(policy, None, rollout, ["score_norm"])) == {"score_norm"}


def test_k1_is_the_difference_of_log_probabilities():
    rollout, policy, reference = rollout_and_policies()
    found = survey(policy, reference, rollout, ["kl", "reference_logprob"], kl.k1)
    assert found["kl"] == pytest.approx(rollout.logprob - found["reference_logprob"], abs=1e-5)
    assert np.abs(found["kl"]).max() > 0.1
    exact = survey(policy, reference, rollout, ["kl"])["kl"]
    assert (exact >= 0).all()


def test_the_score_norm_is_that_of_the_gradient():
    noise = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=noise, requires_grad=True)
    action = torch.randint(3, (6, 1), generator=noise)
    family = Categorical(3)
    (slope,) = torch.autograd.grad(family.logprob(logits, action).sum(), logits)
    norm = family.score_norm(logits, action)
    assert torch.allclose(norm, slope.square().sum(dim=1), atol=1e-6)

    params = torch.randn(6, 4, generator=noise, requires_grad=True)
    draw = torch.randn(6, 2, generator=noise)
    for squash in (False, True):
        gaussian = Gaussian(2, squash)
        (slope,) = torch.autograd.grad(gaussian.logprob(params, draw).sum(), params)
        in_z = slope[:, :2] * params[:, 2:].exp()
        norm = gaussian.score_norm(params, draw)
        assert torch.allclose(norm, in_z.square().sum(dim=1), rtol=1e-4)
