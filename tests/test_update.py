import copy

import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy, make_rollout, make_sampler, make_scored

from grpo_cli import entropy, kl, losses
from grpo_cli.errors import NonFinite
from grpo_cli.update import Learner, Objective, Schedule, update_policy


def schedule(**changes):
    settings = {
        "epochs": 1,
        "num_minibatches": 1,
        "minibatch_size": None,
        "target_kl": None,
        "max_grad_norm": None,
        **changes,
    }
    return Schedule(**settings)


def objective(**changes):
    return Objective(losses.clip, kl.exact, entropy.bonus, **changes)


def sampled(policy):
    rollout = make_sampler(cartpole()).sample(policy, 0)
    advantage = np.random.default_rng(0).normal(size=len(rollout.reward))
    return make_scored(rollout, advantage)


def learn(policy, scored, lr=0.01, plan=None, goal=None, **more):
    optimizer = torch.optim.SGD(policy.parameters(), lr=lr)
    plan, goal = plan or schedule(), goal or objective()
    return update_policy(policy, optimizer, scored, goal, plan, seed=0, update=0, **more)


def weights(policy):
    return torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])


def test_one_full_batch_step_is_the_policy_gradient():
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    twin = copy.deepcopy(policy)
    rows = scored.rollout
    logprob = twin.family.logprob(twin(rows.obs), rows.action)
    (-(logprob * torch.from_numpy(scored.advantage).float()).mean()).backward()
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter -= 0.01 * parameter.grad  # type: ignore[operator]
    learn(policy, scored)
    assert torch.allclose(weights(policy), weights(twin), atol=1e-7)


def test_every_row_is_used_once_an_epoch():
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    rows = []

    def spy(new, batch):
        rows.append(batch.advantage)
        return losses.clip(new, batch)

    goal = Objective(spy, kl.exact, entropy.bonus)
    learn(policy, scored, plan=schedule(epochs=2, num_minibatches=3), goal=goal)
    assert len(rows) == 6
    for epoch in (rows[:3], rows[3:]):
        seen = torch.cat(epoch).sort().values
        assert torch.allclose(seen, torch.from_numpy(scored.advantage).float().sort().values)
    assert not torch.equal(torch.cat(rows[:3]), torch.cat(rows[3:]))  # shuffled anew


def test_minibatches_are_split_further_by_the_bound():
    assert schedule(num_minibatches=4).slices(1000) == 4
    assert schedule(num_minibatches=4, minibatch_size=100).slices(1000) == 10
    assert schedule(num_minibatches=4, minibatch_size=300).slices(1000) == 4
    assert schedule(num_minibatches=4).slices(2) == 2


def test_the_kl_stop_ends_the_update_between_epochs():
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    free = learn(copy.deepcopy(policy), scored, lr=5.0, plan=schedule(epochs=6, num_minibatches=2))
    assert free["train/epochs"] == 6
    stopped = learn(
        policy, scored, lr=5.0, plan=schedule(epochs=6, num_minibatches=2, target_kl=1e-4)
    )
    assert 1 <= stopped["train/epochs"] < 6


def test_gradients_are_scaled_down_to_the_norm():
    policy = make_cartpole_policy(cartpole())
    before = weights(policy)
    metrics = learn(policy, sampled(policy), lr=1.0, plan=schedule(max_grad_norm=0.001))
    assert (weights(policy) - before).norm().item() == pytest.approx(0.001, rel=1e-3)
    assert metrics["train/grad_norm"] > 0.001  # what is logged is the norm before


def test_the_entropy_bonus_raises_entropy():
    torch.manual_seed(0)
    policy = make_cartpole_policy(cartpole())
    torch.nn.init.normal_(policy.head.weight)
    scored = make_scored(sampled(policy).rollout, np.zeros_like(sampled(policy).advantage))

    def measured():
        with torch.no_grad():
            return policy.family.entropy(policy(scored.rollout.obs)).mean().item()

    before = measured()
    metrics = learn(policy, scored, lr=0.1, goal=objective(entropy_coef=1.0))
    assert metrics["train/entropy"] == pytest.approx(before, abs=1e-5)
    assert measured() > before


def test_the_kl_penalty_pulls_towards_the_reference():
    policy = make_cartpole_policy(cartpole())
    reference = copy.deepcopy(policy)
    torch.nn.init.normal_(policy.head.weight, generator=torch.Generator().manual_seed(0))
    rollout = sampled(policy).rollout
    scored = make_scored(rollout, np.zeros(len(rollout.reward)))
    goal = objective(kl_coef=1.0)
    first = learn(policy, scored, lr=0.1, goal=goal, reference=reference)
    second = learn(policy, scored, lr=0.1, goal=goal, reference=reference)
    assert 0 < second["train/kl"] < first["train/kl"]


def learner(policy, reference="initial", kl_coef=1.0, anneal=False):
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    return Learner(
        policy, optimizer, objective(kl_coef=kl_coef), schedule(epochs=2),
        lr=0.1, anneal=anneal, reference=reference, seed=0,
    )  # fmt: skip


def test_without_a_penalty_no_reference_is_built():
    assert learner(make_cartpole_policy(cartpole()), kl_coef=0.0).reference is None


def test_the_reference_is_the_initial_or_the_old_policy():
    for name in ("initial", "old"):
        policy = make_cartpole_policy(cartpole())
        initial = weights(policy)
        learns = learner(policy, name)
        scored = sampled(policy)
        learns(scored, 0, 0.0)
        after_one = weights(policy)
        learns(scored, 1, 0.0)
        assert learns.reference is not None
        expected = initial if name == "initial" else after_one
        assert torch.equal(weights(learns.reference), expected)


def test_the_learning_rate_is_annealed():
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    falling = learner(policy, anneal=True)
    assert falling(scored, 0, 0.25)["train/learning_rate"] == pytest.approx(0.075)
    assert learner(policy)(scored, 0, 0.25)["train/learning_rate"] == 0.1


def test_numbers_that_are_not_finite_stop_the_update():
    policy = make_cartpole_policy(cartpole())
    rollout = make_rollout([[1.0]], obs=torch.zeros(1, 4))
    with pytest.raises(NonFinite, match="not finite"):
        learn(policy, make_scored(rollout, np.array([np.inf])))


def test_members_of_weight_0_have_exactly_no_part_in_the_update():
    policy = make_cartpole_policy(cartpole())
    twin = copy.deepcopy(policy)
    scored = sampled(policy)
    masked = scored.rollout.member % 3 == 1
    scored.rollout.weight[masked] = 0.0
    scored.advantage[masked] = 1e6
    keep = np.arange(len(scored.rollout.group)) % 3 != 1
    without = make_scored(scored.rollout.members(keep), scored.advantage[~masked])
    measured = learner(policy)(scored, 0, 0.0)
    assert measured == learner(twin)(without, 0, 0.0)
    assert torch.equal(weights(policy), weights(twin))


def test_weight_0_among_other_rows_gets_exactly_zero_gradient():
    policy = make_cartpole_policy(cartpole())
    twin = copy.deepcopy(policy)
    scored = sampled(policy)
    scored.rollout.weight[::2] = 0.0
    wild = make_scored(scored.rollout, np.where(np.arange(len(scored.advantage)) % 2, 1, 1e6))
    tame = make_scored(scored.rollout, np.where(np.arange(len(scored.advantage)) % 2, 1, -1e6))
    learn(policy, wild)
    learn(twin, tame)
    assert torch.equal(weights(policy), weights(twin))


def test_an_update_with_nothing_to_learn_from_takes_no_step():
    policy = make_cartpole_policy(cartpole())
    before = weights(policy)
    scored = sampled(policy)
    scored.rollout.weight[:] = 0.0
    measured = learner(policy)(scored, 0, 0.0)
    assert (measured["train/epochs"], measured["train/n_updates"]) == (0, 0)
    assert torch.equal(weights(policy), before)
