"""The loop, with real parts: when it stops, evaluates, saves and writes, and what it counts."""

from dataclasses import replace
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy, make_sampler
from threads import in_threads

from grpo_cli import entropy, kl
from grpo_cli.advantages import peer, score
from grpo_cli.envs import open_env
from grpo_cli.errors import NonFinite, WorkerLost
from grpo_cli.evaluate import Scores
from grpo_cli.groups import Selection
from grpo_cli.learner import Learner
from grpo_cli.losses import clip
from grpo_cli.objective import Objective
from grpo_cli.reward_functions import ENV_REWARD
from grpo_cli.rewards import none
from grpo_cli.stop import Stop
from grpo_cli.train import Parts, train
from grpo_cli.update import Schedule


class Constant(gym.Env):
    """Episodes of 5 steps; every reward is the same number."""

    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, reward: float = 1.0):
        self.reward = reward

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return np.zeros(4, np.float32), {}

    def step(self, action):
        self.count += 1
        return np.zeros(4, np.float32), self.reward, self.count == 5, False, {}


class Notes:
    """A sink, a judge and a saver that remember what reached them."""

    def __init__(self, greedy=(0.0,), sampled=(0.0,)):
        self.answers = {"greedy": list(greedy), "sampled": list(sampled)}
        self.lines, self.saved, self.judged, self.warnings = [], [], [], []

    def write(self, step, metrics):
        self.lines.append((step, dict(metrics)))

    def close(self):
        pass

    def judge(self, policy, thorough):
        self.judged.append(thorough)
        return {mode: self.scores(answers) for mode, answers in self.answers.items()}

    def scores(self, answers):
        mean = answers.pop(0) if len(answers) > 1 else answers[0]
        return Scores(np.array([mean - 1, mean + 1]), np.array([5, 7]), None)

    def save(self, at, best):
        self.saved.append((at.steps, best))


def make_parts(notes, source=None, scaling=none, **sampler):
    source = source or open_env("Constant", max_steps=5, own_class=Constant)
    policy = make_cartpole_policy(source)
    learner = Learner(
        policy,
        torch.optim.Adam(policy.parameters(), lr=1e-3),
        Objective(clip, kl.exact, entropy.bonus),
        Schedule(epochs=1, num_minibatches=1, minibatch_size=None, target_kl=None, max_grad_norm=1),
        lr=1e-3,
        anneal=False,
        seed=0,
    )
    return Parts(
        policy=policy,
        sampler=make_sampler(source, **sampler),
        score=partial(score, reward_scaling=scaling, scope="batch", advantage=peer, gamma=0.99),
        learn=learner,
        judge=notes.judge,
        save=notes.save,
        sinks=[notes],
        warn=notes.warnings.append,
    )


def run(notes, parts=None, **changes):
    settings = {"total_steps": 100, "stop_at": None, "eval_every": 1000, "save_every": 1000}
    return train(parts or make_parts(notes), **{**settings, **changes})


def steps_of(notes, name):
    return [step for step, metrics in notes.lines if name in metrics]


def test_no_update_begins_once_the_budget_is_used_up():
    # 2 groups x 3 members x 5 steps = 30 env steps an update; 90 < 100, so a fourth begins
    notes = Notes()
    at = run(notes)
    assert (at.steps, at.update, at.reached) == (120, 4, False)
    assert [step for step, _ in notes.lines] == [30, 60, 90, 120]


def test_evaluates_at_the_first_update_after_each_multiple_and_at_the_end():
    notes = Notes()
    run(notes, total_steps=200, eval_every=70)
    # multiples 70, 140, 210 are passed at 90, 150, 210; 210 is the end as well
    assert steps_of(notes, "eval/greedy/mean_reward") == [90, 150, 210]
    assert notes.judged == [False] * 3


def test_saves_at_the_first_update_after_each_multiple_when_better_and_at_the_end():
    notes = Notes(greedy=[5, 5, 9], sampled=[5, 4, 3])
    run(notes, total_steps=200, eval_every=70, save_every=100)
    # 90: the first evaluation is the best so far; 120: after 100; 210: the end and after 200
    assert notes.saved == [(90, True), (120, False), (210, False)]


def test_the_worse_mode_decides_what_is_best():
    notes = Notes(greedy=[1, 100, 3], sampled=[2, 0, 3])
    at = run(notes, total_steps=90, eval_every=30)
    assert notes.saved == [(30, True), (90, True)]
    assert at.best == 3


@pytest.mark.parametrize(
    ("greedy", "sampled", "stops"),
    [
        (11, 11, True),
        (11, 9, False),
        (9, 11, False),
        # returns mean-1 and mean+1: standard error 1 / sqrt(2), so 10.5 could be luck
        (10.5, 11, False),
    ],
)
def test_stops_early_only_when_both_modes_are_above_by_their_standard_error(greedy, sampled, stops):
    notes = Notes(greedy=[greedy], sampled=[sampled])
    at = run(notes, eval_every=30, stop_at=10.0)
    assert at.reached is stops
    assert at.steps == (30 if stops else 120)
    assert notes.saved[-1][0] == at.steps


def test_a_check_that_reaches_the_goal_is_made_again_before_it_ends_the_run():
    # 20 was luck, 5 is what more episodes say; the next check does not reach 10 at all
    notes = Notes(greedy=[20, 5, 9], sampled=[20])
    at = run(notes, total_steps=60, eval_every=30, stop_at=10.0)
    assert notes.judged == [False, True, False]  # whether it was thorough
    assert not at.reached
    assert [metrics["eval/greedy/mean_reward"] for _, metrics in notes.lines] == [5, 9]


def test_without_a_goal_no_score_ends_the_run():
    at = run(Notes(greedy=[1e9], sampled=[1e9]), eval_every=30, stop_at=None)
    assert at.steps == 120


def test_every_simulated_step_counts():
    # CartPole's episodes differ in length: what is counted is what was stepped
    notes = Notes()
    at = run(notes, make_parts(notes, cartpole(), backend="native"))
    sampled = [metrics["rollout/ep_len_mean"] * 6 for _, metrics in notes.lines]
    assert np.cumsum(sampled) == pytest.approx([step for step, _ in notes.lines])
    assert at.steps == notes.lines[-1][1]["time/total_timesteps"]
    assert [m["time/iterations"] for _, m in notes.lines] == list(range(1, at.update + 1))


def test_the_parts_of_the_time_add_up():
    notes = Notes()
    run(notes, eval_every=30)
    for _, metrics in notes.lines:
        parts = [metrics[f"time/{n}_s"] for n in ("sample", "update", "eval", "other")]
        assert min(parts) >= 0
        assert metrics["time/env_s"] + metrics["time/act_s"] <= metrics["time/sample_s"]


def test_dead_groups_are_counted_and_do_not_move_the_policy():
    notes = Notes()
    parts = make_parts(notes)
    before = parts.policy.head.weight.detach().clone()
    run(notes, parts)
    assert all(metrics["group/frac_reward_zero_std"] == 1 for _, metrics in notes.lines)
    assert torch.equal(before, parts.policy.head.weight)


def test_a_distorting_reward_scaling_is_named_once():
    notes = Notes()
    run(notes, make_parts(notes, cartpole(), lambda reward: -reward, backend="native"))
    assert len(notes.warnings) == 1
    assert "rank correlation of member returns -1.00" in notes.warnings[0]


def test_a_harmless_reward_scaling_is_not():
    notes = Notes()
    run(notes, make_parts(notes, cartpole(), lambda reward: 3 * reward, backend="native"))
    assert notes.warnings == []


@pytest.mark.parametrize("reward", [float("nan"), float("inf")])
def test_an_environment_that_returns_nan_ends_the_run(reward):
    source = open_env("Constant", {"reward": reward}, max_steps=5, own_class=Constant)
    notes = Notes()
    with pytest.raises(NonFinite, match="reward"):
        run(notes, make_parts(notes, source))
    assert (notes.lines, notes.saved) == ([], [])


def test_a_run_can_be_repeated_to_the_last_bit():
    def weights():
        notes = Notes()
        parts = make_parts(notes, cartpole(), backend="native")
        run(notes, replace(parts, sinks=[]))
        return parts.policy.state_dict()

    first, second = weights(), weights()
    assert all(torch.equal(first[name], second[name]) for name in first)


class Watched:
    """A group mode that remembers what it is asked for, and something happens at one group."""

    def __init__(self, mode, at, happens):
        self.mode, self.asked, self.happens = mode, [], {at: happens}

    def sample(self, policy, update, groups=None):
        self.asked.append(groups[0])
        self.happens.pop(groups[0], lambda: None)()
        return self.mode.sample(policy, update, groups)


def replacing(world, at, happens, stop=None):
    """Train for an update, all of whose groups are dead, and replaced twice by as many."""
    notes = Notes()
    parts = make_parts(notes)
    mode = Watched(parts.sampler, at, happens)
    sampler = Selection(
        mode, ENV_REWARD, num_groups=2, group_size=3, seed=0, selector="spread", drop_dead=True,
        max_resample=2, ranks=world,
    )  # fmt: skip
    parts = replace(parts, sampler=sampler, ranks=world, stop=stop or Stop(), learn=lambda *_: {})
    return run(notes, parts, total_steps=1).steps, mode.asked, notes.warnings


def test_a_worker_lost_in_a_later_round_of_one_rank_costs_that_round_there():
    def lose():
        raise WorkerLost("it died")

    one, two = in_threads(2, lambda world: replacing(world, [None, 3][world.rank], lose))
    assert one == (3 * 30, [0, 2, 4], [])
    assert two == (3 * 30, [1, 3, 3, 5], ["it died; sampling this rollout again (1 of 3)"])


def test_a_request_heard_by_one_rank_between_rounds_ends_the_next_one_on_all(tmp_path):
    def work(world):
        file = tmp_path / f"stop-{world.rank}"
        ask = partial(file.write_text, "15")
        return replacing(world, [2, None][world.rank], ask, Stop(file=file))

    assert in_threads(2, work) == [(0, [0, 2], []), (0, [1, 3, 5], [])]
