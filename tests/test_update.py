import copy
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy, make_rollout, make_sampler, make_scored

from grpo_cli import entropy, kl, losses
from grpo_cli.adam import Adam
from grpo_cli.errors import NonFinite
from grpo_cli.objective import Objective
from grpo_cli.update import Schedule, update_policy


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


def test_losses_that_ask_for_whole_members_get_them():
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    members = []

    @losses.by_member()
    def spy(new, batch):
        members.append(losses.per_member(batch.weight, batch).tolist())
        return losses.clip(new, batch)

    learn(policy, scored, plan=schedule(num_minibatches=2), goal=replace(objective(), loss=spy))
    assert len(members) == 2
    assert sorted(chain.from_iterable(members)) == sorted(
        scored.rollout.per_member(scored.rollout.weight)
    )


def test_rows_of_weight_zero_are_left_out():
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    weight = scored.rollout.weight.copy()
    weight[::3] = 0
    rows = []

    def spy(new, batch):
        rows.append(len(batch.weight))
        return losses.clip(new, batch)

    part = replace(scored, rollout=replace(scored.rollout, weight=weight))
    learn(policy, part, plan=schedule(num_minibatches=2), goal=replace(objective(), loss=spy))
    assert sum(rows) == weight.sum()


def test_members_lose_rows_of_weight_zero_and_keep_the_others():
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    weight = scored.rollout.weight.copy()
    weight[scored.rollout.first_row[1:]] = 0
    members = []

    @losses.by_member()
    def spy(new, batch):
        members.append(losses.per_member(batch.weight, batch).tolist())
        return losses.clip(new, batch)

    rollout = replace(scored.rollout, weight=weight)
    learn(policy, replace(scored, rollout=rollout), goal=replace(objective(), loss=spy))
    assert sorted(members[0]) == sorted(rollout.per_member(weight))


def test_without_any_weight_nothing_is_learned():
    policy = make_cartpole_policy(cartpole())
    scored, before = sampled(policy), weights(policy)
    nothing = replace(scored.rollout, weight=np.zeros(len(scored.reward)))
    metrics = learn(policy, replace(scored, rollout=nothing))
    assert metrics == {"train/epochs": 0.0, "train/gradient_steps": 0.0}
    assert torch.equal(weights(policy), before)


def test_where_nothing_differs_the_mean_of_earlier_gradients_does_not_move_the_policy():
    policy = make_cartpole_policy(cartpole())
    optimizer = Adam(policy.parameters(), lr=0.01)
    scored = sampled(policy)
    same = replace(scored, advantage=np.zeros(len(scored.reward)))

    def update(scored, **coefficients):
        goal, plan = objective(**coefficients), schedule()
        return update_policy(policy, optimizer, scored, goal, plan, seed=0, update=0)

    update(scored)
    before, moments = weights(policy), copy.deepcopy(optimizer.state_dict())
    metrics = update(same)
    assert torch.equal(weights(policy), before)
    assert str(optimizer.state_dict()) == str(moments)
    assert metrics["train/gradient_steps"] == metrics["train/epochs"] == 0
    assert metrics["train/entropy"] > 0
    assert update(same, entropy_coef=0.01)["train/gradient_steps"] == 1
    assert not torch.equal(weights(policy), before)


def test_only_the_rows_of_the_most_entropy_keep_their_advantage():
    policy = make_cartpole_policy(cartpole())
    torch.nn.init.normal_(policy.head.weight, generator=torch.Generator().manual_seed(0))
    scored = sampled(policy)
    entropies, advantages = [], []

    def spy(new, batch):
        entropies.append(new.entropy().detach())
        advantages.append(batch.advantage)
        return losses.clip(new, batch)

    learn(policy, scored, goal=replace(objective(), loss=spy, top_quantile=0.25))
    kept = advantages[0] != 0
    assert kept.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert entropies[0][kept].min() >= entropies[0][~kept].max()


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
    assert learn(policy, scored) == learn(twin, without)
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


def of_the_whole_minibatch(new, batch):
    """A loss of one's own that does not divide by `batch.total_weight`."""
    ratio = (new.logprob - batch.old_logprob).exp()
    return -(ratio * batch.advantage).mean(), {}


@pytest.mark.parametrize(
    "loss", [losses.clip, losses.reinforce, losses.clip_cov, losses.kl_cov, of_the_whole_minibatch]
)
def test_many_rows_are_learned_from_as_few_are(loss, monkeypatch):
    found = []
    for rows in (4096, 13):  # computed at once; a minibatch has more than 13
        monkeypatch.setattr("grpo_cli.gradient.AT_ONCE", rows)
        policy = make_cartpole_policy(cartpole())
        goal = Objective(loss, kl.exact, entropy.bonus)
        learn(policy, sampled(policy), plan=schedule(epochs=2, num_minibatches=2), goal=goal)
        found.append(weights(policy))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", [losses.clip, losses.reinforce])  # written out, and by the graph
def test_a_weight_too_small_for_the_device_is_none(loss):
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    weight = np.full(len(scored.reward), 1e-60)
    weight[0] = 1.0
    scored = replace(scored, rollout=replace(scored.rollout, weight=weight))
    goal = Objective(loss, kl.exact, entropy.bonus)
    found = learn(policy, scored, plan=schedule(num_minibatches=4), goal=goal)
    assert found["train/gradient_steps"] == 1
    assert np.isfinite(found["train/loss"])
