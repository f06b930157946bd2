from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy, make_sampler

from grpo_cli.envs.pool import EnvPool
from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.groups import check_memory, episodes
from grpo_cli.groups.packing import finite

needs_envpool = pytest.mark.skipif(not EnvPool.installed(), reason="extra `fast`")
BACKENDS = ["sync", "native", "async", pytest.param("envpool", marks=needs_envpool)]


def first_observations(rollout):
    return rollout.obs[torch.from_numpy(rollout.first_row)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_members_of_a_group_start_alike_and_groups_do_not_in_every_update(backend):
    source = cartpole()
    sampler, policy = make_sampler(source, backend), make_cartpole_policy(source)
    seen = []
    for update in range(3):
        rollout = sampler.sample(policy, update)
        starts = first_observations(rollout)
        for group in range(2):
            own = starts[torch.from_numpy(rollout.group == group)]
            assert (own == own[0]).all()
            seen.append(tuple(own[0].tolist()))
    assert len(set(seen)) == 6


def test_a_policy_without_preference_repeats_itself_while_its_noise_is_held():
    source = cartpole()
    policy = make_cartpole_policy(source)
    torch.nn.init.zeros_(policy.head.weight)
    rollout = make_sampler(source, noise_steps=3).sample(policy, 0)
    action, step = rollout.action[:, 0].numpy(), rollout.step
    again = np.flatnonzero(step % 3 != 0)
    assert (action[again] == action[again - 1]).all()
    fresh = np.flatnonzero((step % 3 == 0) & (step > 0))
    assert (action[fresh] != action[fresh - 1]).any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_independent_starts_differ_within_a_group(backend):
    source = cartpole()
    sampler = make_sampler(source, backend, same_start=False)
    starts = first_observations(sampler.sample(make_cartpole_policy(source), 0))
    assert len({tuple(row.tolist()) for row in starts}) == 6


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_are_packed_by_member_then_time(backend):
    source = cartpole()
    rollout = make_sampler(source, backend).sample(make_cartpole_policy(source), 0)
    assert rollout.member.tolist() == sorted(rollout.member.tolist())
    for member in range(6):
        steps = rollout.step[rollout.member == member]
        assert steps.tolist() == list(range(len(steps)))
    assert rollout.episodes.length.tolist() == np.bincount(rollout.member).tolist()
    assert rollout.episodes.ret == pytest.approx(rollout.per_member(rollout.reward))
    assert rollout.sim_steps == len(rollout.reward)
    assert (rollout.terminated ^ rollout.truncated).all()


@pytest.mark.parametrize("backend", ["sync", "native", "async"])
def test_rows_belong_together(backend):
    """Replaying a member's actions from its seed gives its observations and rewards."""
    source = cartpole()
    rollout = make_sampler(source, backend).sample(make_cartpole_policy(source), 4)
    env = source.make()
    for member in range(6):
        rows = np.flatnonzero(rollout.member == member)
        obs = env.reset(seed=int(rollout.seed[member]))[0]
        for row in rows:
            assert rollout.obs[row].numpy() == pytest.approx(obs, abs=1e-5)
            obs, reward, terminated, truncated, _ = env.step(int(rollout.action[row, 0]))
            assert rollout.reward[row] == reward
        assert rollout.terminated[member] == terminated
        assert rollout.truncated[member] == truncated


def test_the_same_address_gives_the_same_rollout():
    source = cartpole()
    policy = make_cartpole_policy(source)
    one, two = make_sampler(source), make_sampler(source)
    one.sample(policy, 0)  # what was sampled before does not matter
    again, straight = one.sample(policy, 7), two.sample(policy, 7)
    assert torch.equal(again.obs, straight.obs)
    assert torch.equal(again.action, straight.action)
    other = make_sampler(source, seed=1).sample(policy, 7)
    assert not torch.equal(other.obs[:6], straight.obs[:6])


def test_a_group_does_not_depend_on_how_many_others_there_are():
    source = cartpole()
    policy = make_cartpole_policy(source)
    two = make_sampler(source).sample(policy, 0)
    three = make_sampler(source, num_groups=3).sample(policy, 0)
    kept = torch.from_numpy(three.group_N < 2)
    assert torch.equal(three.action[kept], two.action)


def test_log_probabilities_are_those_of_the_acting_policy():
    source = cartpole()
    policy = make_cartpole_policy(source)
    torch.nn.init.normal_(policy.head.weight)
    rollout = make_sampler(source).sample(policy, 0)
    with torch.no_grad():
        expected = policy.family.logprob(policy(rollout.obs), rollout.action)
    assert rollout.logprob == pytest.approx(expected.numpy(), abs=1e-5)


def test_shared_noise_with_different_starts_gives_the_same_first_action():
    source = cartpole()
    sampler = make_sampler(source, same_start=False, shared_noise=True)
    rollout = sampler.sample(make_cartpole_policy(source), 0)
    first = rollout.action[torch.from_numpy(rollout.first_row)][:, 0].reshape(2, 3)
    assert (first == first[:, :1]).all()


def test_the_first_number_that_is_not_finite_is_named():
    source = cartpole()
    good = make_sampler(source, num_groups=2, group_size=3).sample(make_cartpole_policy(source), 0)
    assert finite(good) is good
    row = int(good.first_row[4]) + 2  # the third step of the fifth member
    reward = good.reward.copy()
    reward[[row, row + 5]] = np.nan, np.inf
    says = f"non-finite reward at step 2 of the episode with seed {good.seed[4]}"
    with pytest.raises(NonFinite, match=says) as found:
        finite(replace(good, reward=reward))
    assert found.value.rollout.reward is reward
    obs = good.obs.clone()
    obs[row + 1, 3] = np.inf
    with pytest.raises(NonFinite, match="non-finite observation at step 3"):
        finite(replace(good, obs=obs))
    finite(replace(good, obs=good.obs.to(torch.uint8)))


def test_a_rollout_larger_than_half_the_free_memory_is_refused():
    check_memory(cartpole(), 64 * 500)
    with pytest.raises(ConfigError, match="more than half") as refused:
        check_memory(cartpole(), 10_000_000 * 100_000)
    assert "num_groups" in refused.value.fix


@pytest.mark.parametrize("backend", ["sync", "async"])
@pytest.mark.parametrize("slots", [1, 2, 4])
def test_fewer_slots_give_the_same_members(backend, slots):
    source = cartpole()
    policy = make_cartpole_policy(source)
    straight = make_sampler(source).sample(policy, 2)
    refilled = make_sampler(source, backend, slots=slots).sample(policy, 2)
    assert torch.equal(refilled.obs, straight.obs)
    assert torch.equal(refilled.action, straight.action)
    assert refilled.step.tolist() == straight.step.tolist()
    assert refilled.episodes.ret.tolist() == straight.episodes.ret.tolist()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_horizon_leaves_the_first_steps_of_each_member(backend):
    source = cartpole()
    policy = make_cartpole_policy(source)
    whole = make_sampler(source, backend).sample(policy, 2)
    cut = make_sampler(source, backend, horizon=12).sample(policy, 2)
    kept = whole.step < 12
    assert torch.equal(cut.obs, whole.obs[torch.from_numpy(kept)])
    assert torch.equal(cut.action, whole.action[torch.from_numpy(kept)])
    assert cut.reward.tolist() == whole.reward[kept].tolist()
    short = whole.episodes.length <= 12
    assert 0 < short.sum() < 6
    assert cut.terminated.tolist() == short.tolist()
    assert cut.truncated.tolist() == (~short).tolist()
    assert cut.episodes.length.tolist() == np.minimum(whole.episodes.length, 12).tolist()


def test_a_horizon_asks_for_memory_of_its_own_length():
    assert episodes.demand(2, 3, 500, horizon=12).rows == 72
    assert episodes.demand(2, 3, 10, horizon=12).rows == 60
    assert episodes.demand(2, 3, 500).rows == 3000


@pytest.mark.parametrize("backend", ["native", pytest.param("envpool", marks=needs_envpool)])
def test_backends_that_start_together_refuse_slots(backend):
    with pytest.raises(ConfigError, match="starts all members together"):
        make_sampler(cartpole(), backend, slots=2)


def test_members_that_would_all_do_the_same_are_refused():
    with pytest.raises(ConfigError, match="all do the same"):
        make_sampler(cartpole(), shared_noise=True)


def test_idle_slots_are_counted():
    source = cartpole()
    policy = make_cartpole_policy(source)
    straight = make_sampler(source).sample(policy, 0)
    assert straight.slot_steps == 6 * straight.episodes.length.max()
    one = make_sampler(source, slots=1).sample(policy, 0)
    assert one.slot_steps == one.sim_steps  # a single slot is never idle
