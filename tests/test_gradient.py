"""The gradient written out is the one that torch's graph gives, and is taken where it fits."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces

from grpo_cli.distributions import Categorical, Gaussian
from grpo_cli.entropy import bonus
from grpo_cli.gradient import by_graph, gradient_of, in_slices, written_out
from grpo_cli.joint import Joint
from grpo_cli.kl import exact
from grpo_cli.losses import clip, reinforce
from grpo_cli.objective import Objective
from grpo_cli.observations import MASK
from grpo_cli.policies import Policy, make_policy, mlp
from grpo_cli.rollout import Batch

BOX = spaces.Box(-np.inf, np.inf, (5,), np.float32)
USUAL = Objective(clip, exact, bonus)
ROWS = 60


def policy_of(family, activation="tanh"):
    torch.manual_seed(0)
    body = mlp(BOX, hidden=(9, 7), activation=activation)
    policy = Policy(body, 7, family, log_std=-0.3)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return policy


def batch_for(family):
    drawn = torch.Generator().manual_seed(1)
    discrete = isinstance(family, Categorical)
    action = (
        torch.randint(family.num_outputs, (ROWS, 1), generator=drawn)
        if discrete
        else torch.randn(ROWS, family.size, generator=drawn)
    )
    weight = torch.rand(ROWS, generator=drawn)
    weight[:7] = 0
    return Batch(
        obs=torch.randn(ROWS, 5, generator=drawn),
        action=action,
        old_logprob=torch.randn(ROWS, generator=drawn) * 0.5 + (-1.0 if discrete else -3.0),
        advantage=torch.randn(ROWS, generator=drawn),
        weight=weight,
        reference=None,
    )


def both(policy, objective, batch):
    """Gradients and measurements by hand, then by the graph."""
    found = []
    for gradient in (gradient_of(policy, objective), partial(by_graph, policy, objective)):
        total, measured = gradient(batch)
        grads = [p.grad.clone() for p in policy.parameters()]
        found.append((total, grads, {name: mean.item() for name, mean in measured.items()}))
    return found


@pytest.mark.parametrize(
    "family",
    [
        Categorical(2),
        Categorical(6),
        Gaussian(3),
        Gaussian(2, squash=True),
        Gaussian(3, by_state=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("settings", [{}, {"eps_low": 0.1, "eps_high": 0.4, "delta": 2.0}], ids=str)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("entropy_coef", [0.0, 0.3])
def test_equals_the_graph(family, settings, activation, entropy_coef):
    policy, batch = policy_of(family, activation), batch_for(family)
    loss = partial(clip, **settings) if settings else clip
    objective = Objective(loss, exact, bonus, entropy_coef=entropy_coef)
    assert gradient_of(policy, objective).func is written_out
    (ours, mine, said), (theirs, its, told) = both(policy, objective, batch)
    assert ours == pytest.approx(theirs.item(), rel=1e-5, abs=1e-6)
    for hand, graph in zip(mine, its, strict=True):
        torch.testing.assert_close(hand, graph, rtol=1e-4, atol=1e-6)
    assert said == pytest.approx(told, rel=1e-4, abs=1e-6)
    assert 0.05 < told["clip_ratio/region_mean"] < 0.95  # some rows are cut, some are not


def test_equals_the_graph_behind_a_normaliser_and_a_mask():
    torch.manual_seed(0)
    space = spaces.Dict({"observation": BOX, MASK: spaces.MultiBinary(4)})
    rng = np.random.default_rng(0)
    policy = make_policy(mlp, space, Categorical(4), rng, torch.device("cpu"), normalise=True)
    batch = batch_for(Categorical(4))
    mask = torch.ones(ROWS, 4, dtype=torch.int8)
    mask[::3, 1:] = 0
    batch = replace(
        batch,
        obs={"observation": 3 + batch.obs, MASK: mask},
        action=torch.where(mask[:, 1:2] == 0, 0, batch.action),
    )
    policy.observe(batch.obs)
    objective = replace(USUAL, entropy_coef=0.3)  # what is masked has none
    assert gradient_of(policy, objective).func is written_out
    (_, mine, _), (_, its, _) = both(policy, objective, batch)
    for hand, graph in zip(mine, its, strict=True):
        torch.testing.assert_close(hand, graph, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "objective",
    [
        Objective(reinforce, exact, bonus),
        Objective(partial(clip, ratio="sequence"), exact, bonus),
        Objective(partial(clip, aggregate="member_mean"), exact, bonus),
        replace(USUAL, kl_coef=0.1),
        replace(USUAL, entropy=lambda new: new.entropy(), entropy_coef=0.1),
    ],
)
def test_other_objectives_go_through_the_graph(objective):
    assert gradient_of(policy_of(Categorical(2)), objective).func is by_graph


def test_other_policies_go_through_the_graph():
    silu = Policy(mlp(BOX, activation="silu"), 64, Categorical(2))
    several = Policy(mlp(BOX), 64, Joint((Categorical(2), Categorical(3))))
    for policy in (silu, several):
        assert gradient_of(policy, USUAL).func is by_graph


@pytest.mark.parametrize("objective", [USUAL, replace(USUAL, entropy_coef=0.1)])
def test_slices_add_up(objective, monkeypatch):
    policy, batch = policy_of(Gaussian(3)), batch_for(Gaussian(3))
    gradient = gradient_of(policy, objective)
    whole, said = gradient(batch)
    grads = [p.grad.clone() for p in policy.parameters()]
    monkeypatch.setattr("grpo_cli.gradient.AT_ONCE", 13)
    total, told = in_slices(gradient, list(policy.parameters()), batch)
    assert float(total) == pytest.approx(float(whole), rel=1e-5)
    for parameter, expected in zip(policy.parameters(), grads, strict=True):
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-4, atol=1e-6)
    assert {k: m.item() for k, m in told.items()} == pytest.approx(
        {k: m.item() for k, m in said.items()}, rel=1e-5
    )
