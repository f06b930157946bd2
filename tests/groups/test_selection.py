"""Members and groups that are left out after sampling, and greedy members beside them."""

from dataclasses import fields, replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy, make_sampler
from threads import in_threads

from grpo_cli.envs import open_env
from grpo_cli.errors import ConfigError, NonFinite
from grpo_cli.groups import SELECTORS, Selection
from grpo_cli.groups.packing import finite
from grpo_cli.reward_functions import ENV_REWARD, weighted
from grpo_cli.rollout import BASELINE, LEARN, Episodes


class HalfDead(gym.Env):
    """One step; the action is worth something only from starts with a positive first number."""

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.start = self.np_random.uniform(-1, 1, 4).astype(np.float32)
        return self.start, {}

    def step(self, action):
        return self.start, float(action) * (self.start[0] > 0), True, False, {}


class Dead(HalfDead):
    """Nothing that is done here matters."""

    def step(self, action):
        return self.start, 1.0, True, False, {}


def half_dead():
    return open_env("HalfDead", max_steps=1, own_class=HalfDead)


def select(mode, worth=ENV_REWARD, **changes):
    settings = {"num_groups": 2, "group_size": 3, "seed": 0, "selector": "spread"}
    settings |= {"drop_dead": False, "max_resample": 0}
    return Selection(mode, worth, **{**settings, **changes})


def sample(source, update=0, mode=None, **changes):
    chosen = select(make_sampler(source, **(mode or {})), **changes)
    return chosen.sample(make_cartpole_policy(source), update)


def equal(one, two):
    for entry in fields(one):
        left, right = getattr(one, entry.name), getattr(two, entry.name)
        if isinstance(left, torch.Tensor):
            assert torch.equal(left, right), entry.name
        elif isinstance(left, np.ndarray):
            assert np.array_equal(left, right), entry.name
        elif not isinstance(left, float | Episodes):  # times are never equal
            assert left == right, entry.name


def test_nothing_to_choose_changes_nothing():
    source = half_dead()
    plain = make_sampler(source).sample(make_cartpole_policy(source), 0)
    equal(sample(source), plain)


def is_live(rollout):
    groups = range(rollout.num_groups)
    return [len(set(rollout.reward[rollout.group_N == group])) > 1 for group in groups]


def test_dead_groups_get_no_weight_and_live_ones_keep_theirs():
    rollout = sample(half_dead(), mode={"num_groups": 8}, num_groups=8, drop_dead=True)
    live = is_live(rollout)
    assert 0 < sum(live) < 8
    assert rollout.weight.tolist() == np.repeat(live, 3).tolist()


def test_dead_groups_are_replaced_until_there_are_enough_or_rounds_run_out():
    source, counts = half_dead(), []
    for rounds in (0, 1, 20):
        settings = {"num_groups": 8, "drop_dead": True, "max_resample": rounds}
        rollout = sample(source, mode={"num_groups": 8}, **settings)
        counts.append((sum(is_live(rollout)), rollout.num_groups))
        assert rollout.sim_steps == 3 * rollout.num_groups  # every step counts, one a member
        assert len(rollout.episodes.ret) == 3 * rollout.num_groups
    (first, eight), (second, sampled), (last, _) = counts
    assert (eight, sampled, last) == (8, 8 + (8 - first), 8)
    assert first < second < last


def test_resampling_replays_identically_and_never_repeats_a_start():
    source = half_dead()
    settings = {"num_groups": 4, "drop_dead": True, "max_resample": 9}
    chosen = select(make_sampler(source, num_groups=4), **settings)
    policy = make_cartpole_policy(source)
    chosen.sample(policy, 0)  # what was sampled before does not matter
    again, straight = chosen.sample(policy, 5), sample(source, 5, {"num_groups": 4}, **settings)
    assert straight.num_groups > 4
    equal(again, straight)
    seeds = [*straight.seed[::3], *chosen.sample(policy, 6).seed[::3]]
    assert len(set(seeds)) == len(seeds)
    assert (straight.group == np.repeat(np.arange(straight.num_groups), 3)).all()


def test_the_groups_of_a_later_round_are_those_of_a_wider_first_one():
    source = half_dead()
    settings = {"num_groups": 4, "drop_dead": True, "max_resample": 9}
    rounds = sample(source, mode={"num_groups": 4}, **settings)
    wide = make_sampler(source, num_groups=rounds.num_groups)
    at_once = wide.sample(make_cartpole_policy(source), 0)
    assert torch.equal(rounds.obs, at_once.obs)
    assert torch.equal(rounds.action, at_once.action)


def test_a_batch_of_dead_groups_stays_with_no_weight_at_all():
    source = open_env("Dead", max_steps=1, own_class=Dead)
    rollout = sample(source, drop_dead=True, max_resample=3)
    assert rollout.num_groups == 2 * 4
    assert not rollout.weight.any()


WORTH = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
LENGTH = np.array([1, 9, 2, 9, 3])


@pytest.mark.parametrize(
    ("name", "size", "kept"),
    [
        ("spread", 3, {1, 4, 0}),  # ranks 0, 2, 4 of worth 1..5
        ("spread", 2, {1, 0}),
        ("spread", 5, {0, 1, 2, 3, 4}),
        ("first", 3, {0, 2, 4}),  # 1, 2 and 3 steps
        ("first", 4, {0, 1, 2, 4}),  # of equals the first
    ],
)
def test_selectors_by_hand(name, size, kept):
    chosen = SELECTORS[name](WORTH, LENGTH, size, np.random.default_rng(0))
    assert (len(chosen), set(chosen.tolist())) == (size, kept)


def test_uniform_keeps_every_candidate_equally_often():
    generator = np.random.default_rng(0)
    chosen = [SELECTORS["uniform"](WORTH, LENGTH, 3, generator) for _ in range(4000)]
    assert all(len(set(some.tolist())) == 3 for some in chosen)
    # 3/5 of 4000, standard deviation 31
    assert np.bincount(np.concatenate(chosen)) == pytest.approx(np.full(5, 2400), abs=125)


@pytest.mark.parametrize("selector", list(SELECTORS))
def test_candidates_are_played_and_counted_but_only_some_are_kept(selector):
    source = cartpole()
    played = make_sampler(source, group_size=7).sample(make_cartpole_policy(source), 0)
    kept = sample(source, mode={"group_size": 7}, selector=selector)
    assert np.bincount(kept.group).tolist() == [3, 3]
    assert kept.sim_steps == played.sim_steps > len(kept.reward)
    assert kept.episodes.ret.tolist() == played.episodes.ret.tolist()
    length = kept.per_member(np.ones(len(kept.reward)))
    for group in range(2):
        everybody = played.episodes.length[played.group == group]
        own = length[kept.group == group]
        assert set(own) <= set(everybody)
        if selector == "spread":
            assert (own.min(), own.max()) == (everybody.min(), everybody.max())
        if selector == "first":
            assert sorted(own) == sorted(everybody)[:3]


def test_greedy_members_start_where_their_group_starts_and_act_greedily():
    source = cartpole()
    policy = make_cartpole_policy(source)
    torch.nn.init.normal_(policy.head.weight)
    rollout = make_sampler(source, greedy=True).sample(policy, 3)
    assert rollout.role.tolist() == [LEARN] * 6 + [BASELINE] * 2
    assert rollout.group.tolist() == [0, 0, 0, 1, 1, 1, 0, 1]
    starts = rollout.obs[torch.from_numpy(rollout.first_row)]
    assert torch.equal(starts[6:], starts[[0, 3]])
    assert rollout.seed[6:].tolist() == rollout.seed[[0, 3]].tolist()
    rows = rollout.role[rollout.member] == BASELINE
    greedy, _ = policy.act(rollout.obs[torch.from_numpy(rows)].numpy(), None)
    assert np.array_equal(rollout.action[torch.from_numpy(rows)].numpy(), greedy)
    assert np.array_equal(rollout.weight, ~rows)


def test_greedy_members_change_nothing_for_the_others_and_are_no_episodes():
    source = cartpole()
    policy = make_cartpole_policy(source)
    alone = make_sampler(source).sample(policy, 0)
    beside = make_sampler(source, greedy=True).sample(policy, 0)
    learners = beside.members(beside.role == LEARN)
    assert torch.equal(learners.action, alone.action)
    assert learners.seed.tolist() == alone.seed.tolist()
    assert beside.episodes.ret.tolist() == alone.episodes.ret.tolist()
    assert beside.sim_steps == len(beside.reward) > alone.sim_steps


def test_greedy_members_survive_selection_and_fewer_slots():
    source = cartpole()
    mode = {"group_size": 5, "greedy": True}
    rollout = sample(source, mode=mode)
    assert rollout.role.tolist() == [LEARN] * 6 + [BASELINE] * 2
    policy = make_cartpole_policy(source)
    wide, narrow = (make_sampler(source, greedy=True, slots=s).sample(policy, 0) for s in (None, 2))
    assert torch.equal(wide.action, narrow.action)


def test_a_greedy_member_needs_one_start_for_its_group():
    with pytest.raises(ConfigError, match="starts where its group starts"):
        make_sampler(cartpole(), greedy=True, same_start=False)


class Spoilt:
    """Samples rewards that are no numbers, in later groups than those of the first round."""

    def __init__(self, mode):
        self.mode = mode

    def sample(self, policy, update, groups=None):
        rollout = self.mode.sample(policy, update, groups)
        return (
            finite(replace(rollout, reward=rollout.reward * np.nan)) if groups[0] > 1 else rollout
        )


def only(dead, then_inf):
    """Rewards of which a group is dead, or is alive; in a later round they may be infinite."""

    def worth(rollout):
        first = rollout.group.max() < 2
        return (
            np.full(3, 0.0 if first else np.inf) if dead and (first or then_inf) else np.arange(3)
        )

    return weighted(functions={"worth": worth})


@pytest.mark.parametrize("both", [True, False], ids=["both replace", "one replaces"])
@pytest.mark.parametrize("who", ["mode", "worth"])
def test_what_is_not_finite_on_one_rank_ends_a_round_of_all_with_what_each_has_played(who, both):
    source = half_dead()

    def work(world):
        mode, spoils = make_sampler(source), world.rank == 1
        chosen = select(
            Spoilt(mode) if spoils and who == "mode" else mode,
            only(dead=spoils or both, then_inf=spoils and who == "worth"),
            drop_dead=True,
            max_resample=1,
            ranks=world,
        )
        with pytest.raises(NonFinite) as caught:
            chosen.sample(make_cartpole_policy(source), 0)
        rollout = caught.value.rollout
        return caught.value.what, rollout.group[::3].tolist(), rollout.sim_steps

    (what, groups, steps), (other, spoilt, more) = in_threads(2, work)
    assert what == other
    assert (groups, spoilt) == (([0, 2], [1, 3]) if both else ([0], [1, 2]))
    assert (steps, more) == (3 * len(groups), 3 * len(spoilt))  # one step a member


@pytest.mark.parametrize(
    "settings", [{"drop_dead": True}, {"group_size": 2}], ids=["dead groups", "candidates"]
)
def test_a_reward_function_that_is_not_finite_is_told_with_what_was_played(settings):
    source = half_dead()
    worth = weighted(functions={"worth": lambda rollout: np.full(len(rollout.group), np.inf)})
    with pytest.raises(NonFinite, match="worth returned inf") as caught:
        select(make_sampler(source), worth, **settings).sample(make_cartpole_policy(source), 0)
    assert caught.value.rollout.group.tolist() == [0, 0, 0, 1, 1, 1]
