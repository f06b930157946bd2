"""Several ranks learn what one would: the same rollout, split, gives the same update."""

from functools import cache

import numpy as np
import pytest
import torch
from builders import make_rollout
from threads import in_threads

from grpo_cli.config import build
from grpo_cli.config.built import build_all
from grpo_cli.config.compose import compose
from grpo_cli.errors import NonFinite
from grpo_cli.ranks import ALONE, Moments
from grpo_cli.sinks.view import View

SMALL = [
    "seed=3", "device=cpu", "num_groups=5", "group_size=3", "epochs=2", "num_minibatches=3",
    "policy.hidden=[8]", "backend=sync", "eval.episodes=5",
]  # fmt: skip
CARTPOLE = ["env=CartPole-v1", "env.max_steps=30"]
PENDULUM = ["env=Pendulum-v1", "env.max_steps=12"]
CASES = {
    "time aligned": CARTPOLE,
    "linear": [*PENDULUM, "advantage=linear"],
    "fitted": [*PENDULUM, "advantage=fitted"],
    "whole batch": [*PENDULUM, "advantage=reinforce_pp", "reward_scaling=zscore"],
    "batch mean": [*CARTPOLE, "advantage=reinforce"],
    "shrunk": [*CARTPOLE, "advantage=shrunk", "loss=dr_grpo"],
    "whiten": [*CARTPOLE, "advantage=lite_ppo", "entropy.top_quantile=0.5"],
    "anchor states": ["env=FrozenLake-v1", "advantage=anchor"],
    "grid": [*CARTPOLE, "advantage=bin"],
    "process": [*PENDULUM, "advantage=process"],
    "greedy": [*CARTPOLE, "advantage=remax"],
    "running moments": [*PENDULUM, "policy.normalise=true", "reward_scaling=running_std"],
    "several rewards": [*CARTPOLE, "preset=gdpo"],
    "kl in the advantage": [*CARTPOLE, "kl.coef=0.1", "kl.where=advantage"],
    "kl towards a target": [*CARTPOLE, "kl.coef=0.1", "kl.target=0.01", "kl.horizon=100"],
    "whole members": [*CARTPOLE, "loss=gspo"],
    "a memory": [*CARTPOLE, "policy=recurrent", "policy.size=4"],
    "dead groups": [
        *CARTPOLE,
        "group.drop_dead=true",
        "group.max_resample=2",
        "group_size=2",
        "num_minibatches=1",
    ],
    "few rows": ["env=Pendulum-v1", "env.max_steps=1", "num_groups=2", "num_minibatches=5"],
    # The pieces of windows are numbered as they begin, which is not window by window.
    "windows": [
        *CARTPOLE,
        "group=windows",
        "group_size=20",
        "advantage=scalar",
        "num_minibatches=1",
    ],
}


@cache
def composed(*words):
    return compose([*SMALL, *words])


def learned(words, ranks, updates=2):
    """Sample, score and learn; returns the policy's tensors, what was sampled, and metrics."""
    built = build_all(build.plain(composed(*words)), View(quiet=True), ranks)
    metrics, sampled = [], []
    try:
        for update in range(updates):
            scored = built.score(built.sampler.sample(built.policy, update))
            metrics.append(scored.measured | built.learner(scored, update, 0.0))
            rollout = scored.rollout
            sampled.append((rollout.seed, rollout.reward, scored.advantage))
        state = {name: tensor.clone() for name, tensor in built.policy.state_dict().items()}
        return state, sampled, metrics, built.learner.state()
    finally:
        built.backend.close()


def numbers(state):
    """All that was learned, in a row."""
    return torch.cat([t.double().ravel() for t in state.values()])


def flat(tree):
    return [x for v in tree.values() for x in (flat(v) if isinstance(v, dict) else [v])]


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_learn_what_one_does(name):
    before = torch.get_num_threads()
    start = numbers(learned(CASES[name], ALONE, updates=0)[0])
    state, sampled, metrics, coefs = learned(CASES[name], ALONE)
    ranks = in_threads(2, lambda world: learned(CASES[name], world))
    torch.set_num_threads(before)
    for other, _, said, other_coefs in ranks:
        assert (numbers(other) - numbers(state)).norm() < 1e-6 * numbers(state).norm()
        assert (numbers(other) - numbers(state)).norm() < 1e-4 * (numbers(state) - start).norm()
        assert flat(other_coefs) == pytest.approx(flat(coefs))
        # A share jumps where a ratio lies on the edge of the clip, up to rounding.
        firm = {key: value for key, value in metrics[0].items() if "clip_ratio" not in key}
        assert {key: said[0][key] for key in firm} == pytest.approx(firm, rel=2e-5, abs=1e-6)
    assert all(torch.equal(ranks[0][0][key], ranks[1][0][key]) for key in state)
    # the same starts, rewards and advantages, whoever drew them
    if name != "dead groups":  # whose rounds are joined rank by rank
        for update, parts in enumerate(zip(ranks[0][1], ranks[1][1], strict=True)):
            for column in range(3):
                whole = np.concatenate([part[column] for part in parts])
                order = np.sort if name in ("greedy", "windows") else np.asarray
                assert order(whole) == pytest.approx(
                    order(sampled[update][column]), rel=1e-5, abs=1e-6
                )


@pytest.mark.parametrize("size", [2, 3])
def test_exchanges(size):
    def work(world):
        mine = np.arange(float(world.rank + 1)) + world.rank
        (moments,) = world.moments(mine)
        whole, place = world.whole(mine)
        assert (whole[place] == mine).all()
        assert world.span(world.rank + 1) == (size * (size + 1) // 2, sum(range(world.rank + 1)))
        columns = np.column_stack([mine, -mine])
        table, sides = world.sum_by(np.arange(world.rank + 1), mine, columns)
        assert sides.T.tolist() == [table.tolist(), (-table).tolist()]
        assert world.mean(columns).tolist() == [world.mean(mine), -world.mean(mine)]
        pair = world.pooled(Moments(1.0, mine[:1], np.zeros(1)))
        added = world.add(torch.tensor([[1.0 + world.rank]]), torch.tensor(2.0))
        return (
            whole.tolist(), moments.mean, moments.std(), world.mean(mine), table.tolist(),
            float(pair.mean[0]),
            world.decide(world.rank), world.any(world.rank == 1), [float(a) for a in added],
            list(world.share(7)),
        )  # fmt: skip

    found = in_threads(size, work)
    assert sorted(n for *_, share in found for n in share) == list(range(7))
    [first] = {str(other[:-1]) for other in found}
    whole = np.concatenate([np.arange(float(r + 1)) + r for r in range(size)])
    # cells: rank r adds r to cell 0, r + 1 to cell 1 if r >= 1, r + 2 to cell 2 if r >= 2
    cells = {2: [1.0, 2.0], 3: [3.0, 5.0, 4.0]}[size]
    expected = (
        whole.tolist(), whole.mean(), whole.std(), whole.mean(), cells, (size - 1) / 2,
        0, True, [size * (size + 1) / 2, 2.0 * size],
    )  # fmt: skip
    assert first == str(expected)


def test_nothing_is_shared_out_of_nothing():
    def work(world):
        (moments,) = world.moments(np.zeros(0))
        whole, _ = world.whole(np.zeros((0, 3)))
        return moments.count, moments.std(), whole.shape, world.mean(np.zeros(0))

    assert in_threads(2, work) == [(0.0, 0.0, (0, 3), 0.0)] * 2


@pytest.mark.parametrize("what", ["rollout", "rewards"])
def test_where_another_rank_failed_what_was_sampled_is_kept_and_nothing_else(what):
    made = make_rollout([[1.0], [2.0]])
    done = {"rollout": made, "rewards": made.reward}[what]

    def fail():
        raise NonFinite("it is nan", "mend it", made)

    def work(world):
        with pytest.raises(NonFinite, match="it is nan") as caught:
            world.together([fail, lambda: done][world.rank])
        return caught.value.rollout

    failed, other = in_threads(2, work)
    assert failed is made
    assert other is (made if what == "rollout" else None)
