"""What the measurements are made of; how long anything took is asserted nowhere."""

import numpy as np
import torch
from builders import cartpole, make_rollout, make_scored

from grpo_cli.config import build
from grpo_cli.config.built import build_all
from grpo_cli.config.compose import compose
from grpo_cli.envs import make_backend
from grpo_cli.frames import Frames
from grpo_cli.rollout import stacked
from grpo_cli.sinks.view import View
from grpo_cli.speed import best, gradient_step, sized, stepping


def scored():
    rollout = make_rollout([[1.0, 2.0], [3.0], [4.0, 5.0]], [0, 0, 1])
    return make_scored(rollout, np.arange(5.0))


def test_more_rows_are_the_same_members_again():
    grown = sized(scored(), 8)
    rollout = grown.rollout
    assert rollout.member.tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 5, 5]
    assert rollout.group.tolist() == [0, 0, 1, 2, 2, 3]
    assert grown.advantage.tolist() == [0, 1, 2, 3, 4] * 2
    assert grown.reward.tolist() == [1, 2, 3, 4, 5] * 2
    assert len(rollout.obs) == len(rollout.action) == len(rollout.logprob) == 10
    assert len(grown.dead) == 4


def test_stacked_frames_come_again_with_their_rows():
    index = torch.arange(10).reshape(5, 2)
    rollout = make_rollout(
        [[1.0, 2.0], [3.0], [4.0, 5.0]], [0, 0, 1], obs=Frames(torch.rand(10, 16, 16), index)
    )
    grown = sized(make_scored(rollout, np.arange(5.0)), 8).rollout
    assert torch.equal(stacked(grown.obs), torch.cat([stacked(rollout.obs)] * 2))


def test_fewer_rows_are_the_first_whole_members():
    cut = sized(scored(), 3)
    assert cut.rollout.member.tolist() == [0, 0, 1]
    assert cut.advantage.tolist() == [0, 1, 2]
    assert torch.equal(cut.rollout.obs, scored().rollout.obs[:3])
    assert len(sized(scored(), 1).reward) == 2  # members stay whole


def test_at_least_one_repeat_and_the_fastest_counts():
    done = []
    assert best(lambda: done.append(1), 0.0) >= 0
    assert len(done) == 1


def test_a_gradient_step_is_taken_where_no_member_differs():
    words = ["env=CartPole-v1", "env.max_steps=4", "num_groups=1", "group_size=2"]
    built = build_all(build.plain(compose(words)), View(quiet=True))
    scored = built.score(built.sampler.sample(built.policy, 0))
    before = [tensor.clone() for tensor in built.policy.parameters()]
    assert not scored.advantage.any()
    assert gradient_step(built.learner, scored, 8, 0.0) > 0
    assert built.learner.gradient_steps > 0
    assert all(map(torch.equal, built.policy.parameters(), before))
    built.backend.close()


def test_every_backend_steps_all_members_and_starts_them_again():
    source = cartpole()
    for name in ("sync", "native"):
        backend, _ = make_backend(name, source, 4)
        step, reset = stepping(backend, source.action_space, np.array([5, 5, 6, 6]), 0.0)
        assert step > 0
        assert reset > 0
        backend.close()
