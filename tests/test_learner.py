import copy

import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy, make_sampler, make_scored

from grpo_cli import entropy, kl, losses
from grpo_cli.advantages import score
from grpo_cli.entropy import EntropyCoef
from grpo_cli.kl import KlCoef
from grpo_cli.learner import Learner, Penalty
from grpo_cli.objective import Objective
from grpo_cli.reference import Reference
from grpo_cli.rewards import none
from grpo_cli.update import Schedule


def sampled(policy):
    rollout = make_sampler(cartpole()).sample(policy, 0)
    return make_scored(rollout, np.random.default_rng(0).normal(size=len(rollout.reward)))


def learner(policy, reference=None, where="loss", coef=1.0, target=None, anneal=False, **more):
    return Learner(
        policy,
        torch.optim.SGD(policy.parameters(), lr=0.1),
        Objective(losses.clip, kl.exact, entropy.bonus),
        Schedule(2, 1, None, None, None),
        lr=0.1,
        anneal=anneal,
        seed=0,
        penalty=None if reference is None else Penalty(reference, KlCoef(coef, target), where),
        **more,
    )


def weights(policy):
    return torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])


def test_without_a_penalty_there_is_no_reference():
    policy = make_cartpole_policy(cartpole())
    assert learner(policy).reference is None
    assert learner(policy).survey(sampled(policy).rollout) == {}


def test_the_learning_rate_is_annealed():
    policy = make_cartpole_policy(cartpole())
    scored = sampled(policy)
    falling = learner(policy, anneal=True)
    assert falling(scored, 0, 0.25)["train/learning_rate"] == pytest.approx(0.075)
    assert learner(policy)(scored, 0, 0.25)["train/learning_rate"] == 0.1


def test_an_initial_reference_stays_and_an_old_one_is_the_policy_before_each_update():
    policy = make_cartpole_policy(cartpole())
    initial, scored = weights(policy), sampled(policy)
    stays = learner(policy, Reference(policy))
    stays(scored, 0, 0.0)
    assert stays.reference is not None
    assert torch.equal(weights(stays.reference), initial)
    assert not torch.equal(weights(policy), initial)
    old = learner(policy, Reference(policy, sync_every=1))
    for update in range(2):
        assert old.reference is not None
        assert torch.equal(weights(old.reference), weights(policy))
        old(scored, update, 0.0)


def test_a_synced_reference_moves_every_few_updates():
    policy = make_cartpole_policy(cartpole())
    start = weights(policy)
    reference = Reference(policy, sync_every=2, alpha=0.25)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 4.0
    reference.follow(policy, update=0)
    assert torch.equal(weights(reference.policy), start)
    reference.follow(policy, update=1)
    assert torch.allclose(weights(reference.policy), start + 1.0)  # a quarter of the way


def test_a_reference_can_be_saved():
    policy = make_cartpole_policy(cartpole())
    other = Reference(make_cartpole_policy(cartpole(), seed=1))
    other.load(Reference(policy).state())
    assert torch.equal(weights(other.policy), weights(policy))


def moved(policy):
    """A copy far from the policy."""
    other = copy.deepcopy(policy)
    torch.nn.init.normal_(other.head.weight, generator=torch.Generator().manual_seed(0))
    return other


def test_in_the_reward_every_row_pays_its_divergence():
    policy = make_cartpole_policy(cartpole())
    rollout = sampled(policy).rollout
    learns = learner(policy, Reference(moved(policy)), "reward", coef=0.5)
    seen = []

    def advantage(rollout, reward, gamma):
        seen.append(reward)
        return reward

    scored = score(rollout, none, "batch", advantage, 1.0, survey=learns.survey)
    cost = learns.survey(rollout)["reward_penalty"]
    assert (cost > 0).all()
    assert seen[0] == pytest.approx(rollout.reward - cost)
    assert scored.reward == pytest.approx(rollout.reward)  # what is reported is the reward
    metrics = learns(scored, 0, 0.0)
    assert metrics["train/kl"] == pytest.approx(cost.mean() / 0.5)


def test_in_the_advantage_the_mean_divergence_is_free():
    policy = make_cartpole_policy(cartpole())
    rollout = sampled(policy).rollout
    learns = learner(policy, Reference(moved(policy)), "advantage", coef=0.5)
    scored = score(rollout, none, "batch", lambda r, reward, g: reward, 1.0, survey=learns.survey)
    shaped = scored.advantage - rollout.reward
    assert shaped.sum() == pytest.approx(0, abs=1e-9)
    # AgileRL: + coef * (mean kl - kl)
    cost = learner(policy, Reference(moved(policy)), "reward", coef=0.5).survey(rollout)
    cost = cost["reward_penalty"]
    assert shaped == pytest.approx(cost.mean() - cost)


def test_elsewhere_than_in_the_loss_the_update_itself_has_no_penalty():
    policy = make_cartpole_policy(cartpole())
    scored, twin = sampled(policy), copy.deepcopy(policy)
    learner(policy, Reference(moved(policy)), "reward")(scored, 0, 0.0)
    learner(twin)(scored, 0, 0.0)
    assert torch.equal(weights(policy), weights(twin))


def test_an_advantage_that_asks_gets_the_score_norm():
    policy = make_cartpole_policy(cartpole())
    rollout = sampled(policy).rollout
    learns = learner(policy)

    def advantage(rollout, reward, gamma, *, score_norm):
        return score_norm

    def survey(rollout):
        return learns.survey(rollout, ["score_norm"])

    scored = score(rollout, none, "batch", advantage, 1.0, survey=survey)
    # two actions, p near 1/2: 1 - 2/2 + 2/4
    assert scored.advantage == pytest.approx(np.full(len(rollout.reward), 0.5), abs=0.05)


def test_coefficients_follow_their_targets_and_can_be_saved():
    policy = make_cartpole_policy(cartpole())
    reference = Reference(moved(policy))
    adaptive = EntropyCoef(0.1, target=5.0)  # no CartPole policy has so much entropy
    learns = learner(policy, reference, coef=1.0, target=1e-6, entropy_coef=adaptive)
    first = learns(sampled(policy), 0, 0.0)
    second = learns(sampled(policy), 1, 0.0)
    assert first["train/kl_coef"] == 1.0
    assert second["train/kl_coef"] > 1.0
    assert second["train/entropy_coef"] == pytest.approx(0.105)
    other = learner(policy, reference, target=1e-6, entropy_coef=EntropyCoef(0.1, target=5.0))
    other.load(learns.state())
    assert other.state() == learns.state()
    assert other.gradient_steps == 4


def test_fixed_coefficients_are_no_metrics():
    policy = make_cartpole_policy(cartpole())
    metrics = learner(policy, Reference(policy))(sampled(policy), 0, 0.0)
    assert "train/kl" in metrics
    assert not {"train/kl_coef", "train/entropy_coef"} & set(metrics)
