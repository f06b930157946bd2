import numpy as np
import pytest
import torch
from builders import make_rollout, make_scored

from grpo_cli.rollout import Episodes, join


def sample(group=(0, 0, 1), **changes):
    fields = {"seed": np.array([7, 8, 9]), "obs": torch.arange(6.0)[:, None], **changes}
    return make_rollout([[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]], list(group), **fields)


def test_members_are_kept_whole_and_facts_stay():
    rollout = sample()
    kept = rollout.members(np.array([True, False, True]))
    assert kept.reward.tolist() == [1, 2, 4, 5, 6]
    assert kept.obs[:, 0].tolist() == [0, 1, 3, 4, 5]
    assert kept.member.tolist() == [0, 0, 1, 1, 1]
    assert kept.step.tolist() == [0, 1, 0, 1, 2]
    assert (kept.group.tolist(), kept.seed.tolist()) == ([0, 1], [7, 9])
    assert (kept.sim_steps, kept.episodes) == (rollout.sim_steps, rollout.episodes)


def test_members_of_one_step_each():
    kept = make_rollout([[1.0], [2.0], [3.0]]).members(np.array([False, True, True]))
    assert (kept.reward.tolist(), kept.member.tolist()) == ([2, 3], [0, 1])


def test_joined_rollouts_fall_apart_into_what_they_were():
    one, two = sample(), sample(group=(2, 2, 3))
    both = join([one, two])
    assert both.member.tolist() == [0, 0, 1, 2, 2, 2, 3, 3, 4, 5, 5, 5]
    assert both.sim_steps == 12
    assert both.episodes.ret.tolist() == [3, 3, 15, 3, 3, 15]
    back = both.members(np.arange(6) >= 3)
    assert (back.reward.tolist(), back.member.tolist()) == (
        two.reward.tolist(),
        two.member.tolist(),
    )
    assert back.group.tolist() == two.group.tolist()


@pytest.mark.parametrize(
    ("said", "joined"),
    [
        ((None, None), None),
        ((None, [True, False, True]), [False] * 3 + [True, False, True]),
    ],
)
def test_success_is_joined_where_any_of_them_knows(said, joined):
    parts = [
        sample(episodes=Episodes(np.zeros(3), np.ones(3, int), None if s is None else np.array(s)))
        for s in said
    ]
    success = join(parts).episodes.success
    assert (None if success is None else success.tolist()) == joined


def test_what_is_learned_from_leaves_out_members_without_weight_and_no_others():
    weight = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 0.5])
    scored = make_scored(sample(weight=weight), np.arange(6.0))
    assert scored.learned().advantage.tolist() == [0, 1, 3, 4, 5]
    everything = make_scored(sample(), np.arange(6.0))
    assert everything.learned() is everything
