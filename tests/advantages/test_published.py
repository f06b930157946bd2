"""The shipped settings against the formulas of papers and frameworks, written out again.

Loops over padded members, as in the descriptions; nothing of the package is used for `expected`.
"""

import numpy as np
import pytest
import torch
from builders import make_rollout

from grpo_cli.advantages import peer
from grpo_cli.rollout import BASELINE

GROUPS, SIZE, GAMMA = 4, 5, 0.9
WHOLE = {"value": "return", "key": "group", "fallback": []}
ROWS = {"value": "return_to_go", "fallback": []}


class Ragged:
    """Random members of unequal lengths: packed for us, padded for the formulas."""

    def __init__(self, seed):
        noise = np.random.default_rng(seed)
        lengths = noise.integers(1, 9, GROUPS * SIZE)
        rewards = [noise.normal(size=length).tolist() for length in lengths]
        self.group = np.repeat(np.arange(GROUPS), SIZE)
        self.obs = noise.integers(0, 3, size=(lengths.sum(), 2)).astype(np.float32)
        self.norm = noise.uniform(0.1, 1.5, lengths.sum())
        tensor = torch.from_numpy(self.obs)
        self.rollout = make_rollout(rewards, self.group.tolist(), obs=tensor)
        self.mask = torch.arange(int(lengths.max())) < torch.from_numpy(lengths)[:, None]
        self.reward = self.pad(self.rollout.reward)
        self.score = self.reward.sum(1)

    def pad(self, rows):
        padded = torch.zeros(self.mask.shape, dtype=torch.float64)
        padded[self.mask] = torch.as_tensor(rows, dtype=torch.float64)
        return padded

    def to_go(self, gamma=GAMMA):
        total, found = torch.zeros(len(self.mask), dtype=torch.float64), []
        for step in reversed(range(self.mask.shape[1])):
            total = self.reward[:, step] + gamma * total
            found.append(total)
        return torch.stack(found[::-1], dim=1) * self.mask

    def rows(self, padded):
        """[M, T] or [M] -> [N]."""
        if padded.ndim == 1:
            padded = padded[:, None].expand(self.mask.shape)
        return padded[self.mask].numpy()

    def by_group(self, f):
        """Apply f to the scores of each group, [G] -> [G]."""
        return torch.cat([f(self.score[self.group == g]) for g in range(GROUPS)])


@pytest.fixture(params=[0, 1, 2])
def ragged(request):
    return Ragged(request.param)


def ours(data, gamma=1.0, **settings):
    return peer(data.rollout, data.rollout.reward, gamma, **settings).advantage


def whiten(padded, mask):
    """Masked whitening as in RLHF codes: sample variance over tokens, eps inside the root."""
    values = padded[mask]
    return (padded - values.mean()) / torch.sqrt(values.var() + 1e-8)


def test_trl_scale_rewards_group(ragged):
    expected = ragged.by_group(lambda r: (r - r.mean()) / (r.std() + 1e-4))
    got = ours(ragged, **WHOLE, baseline="mean", scale="group", eps=1e-4, ddof=1)
    assert got == pytest.approx(ragged.rows(expected))


def test_trl_scale_rewards_batch(ragged):
    centred = ragged.by_group(lambda r: r - r.mean())
    expected = centred / (ragged.score.std() + 1e-4)
    got = ours(ragged, **WHOLE, baseline="mean", scale="batch_value", eps=1e-4, ddof=1)
    assert got == pytest.approx(ragged.rows(expected))


def test_rloo(ragged):
    expected = ragged.by_group(lambda r: r - (r.sum() - r) / (SIZE - 1))
    assert ours(ragged, **WHOLE, scale="none") == pytest.approx(ragged.rows(expected))


def test_verl_reinforce_plus_plus(ragged):
    expected = whiten(ragged.to_go(), ragged.mask)
    got = ours(ragged, GAMMA, **ROWS, key="batch", baseline="mean", scale="batch", ddof=1)
    assert got == pytest.approx(ragged.rows(expected))


def test_verl_reinforce_plus_plus_baseline(ragged):
    centred = ragged.by_group(lambda r: r - r.mean())
    expected = whiten(centred[:, None].expand(ragged.mask.shape), ragged.mask)
    got = ours(ragged, **WHOLE, baseline="mean", scale="whiten", ddof=1)
    assert got == pytest.approx(ragged.rows(expected))


def test_gdpo_second_half(ragged):
    """Rewards that are group z-scores already, summed, are divided by the batch's deviation."""
    second = torch.from_numpy(np.random.default_rng(9).normal(size=GROUPS * SIZE))
    z = ragged.by_group(lambda r: (r - r.mean()) / r.std(correction=0))
    both = z + 0.5 * torch.cat([(s - s.mean()) / s.std(correction=0) for s in second.split(SIZE)])
    expected = (both - both.mean()) / both.std(correction=0)
    rollout = make_rollout(both[:, None].tolist(), ragged.group.tolist())
    got = peer(rollout, rollout.reward, 1.0, **WHOLE, baseline="mean", scale="batch").advantage
    assert got == pytest.approx(expected.numpy(), rel=1e-6)


def test_opo(ragged):
    length = ragged.mask.sum(1)
    baseline = torch.cat([
        ((length * ragged.score)[ragged.group == g].sum() / length[ragged.group == g].sum()).expand(
            SIZE
        )
        for g in range(GROUPS)
    ])  # fmt: skip
    got = ours(ragged, **WHOLE, baseline="length_weighted", scale="none")
    assert got == pytest.approx(ragged.rows(ragged.score - baseline))


def test_remax(ragged):
    """The first member of each group plays the greedy one."""
    first = np.arange(0, GROUPS * SIZE, SIZE)
    role = np.zeros(GROUPS * SIZE, dtype=np.int8)
    role[first] = BASELINE
    rollout = make_rollout(
        [ragged.reward[m][ragged.mask[m]].tolist() for m in range(len(role))],
        ragged.group.tolist(),
        role=role,
    )
    expected = ragged.by_group(lambda r: r - r[0])  # and the greedy ones themselves get 0
    got = peer(rollout, rollout.reward, 1.0, **WHOLE, baseline="greedy", scale="none").advantage
    assert got == pytest.approx(ragged.rows(expected))


def test_verl_optimal_token_baseline(ragged):
    """B_t = sum of G W over sum of W among those who live; a last survivor has no peer."""
    weight = torch.cumsum(ragged.pad(ragged.norm), dim=1) * ragged.mask
    to_go = ragged.to_go()
    expected = torch.zeros_like(to_go)
    for g in range(GROUPS):
        own = torch.from_numpy(ragged.group == g)
        total = (to_go * weight)[own].sum(0) / (weight[own].sum(0) + 1e-12)
        several = ragged.mask[own].sum(0) > 1
        expected[own] = torch.where(several, to_go[own] - total, 0.0)
    settings = {**ROWS, "key": "group_step", "baseline": "score_norm", "scale": "none"}
    got = ours(ragged, GAMMA, **settings, score_norm=ragged.norm)
    assert got == pytest.approx(ragged.rows(expected))


def test_james_stein_shrinkage(ragged):
    mean = [ragged.score[ragged.group == g].mean().item() for g in range(GROUPS)]
    v = [ragged.score[ragged.group == g].var().item() / SIZE for g in range(GROUPS)]
    expected = []
    for i in range(GROUPS):
        rest = [k for k in range(GROUPS) if k != i]
        target, v_rest = np.mean([mean[k] for k in rest]), np.mean([v[k] for k in rest])
        s_rest = np.var([mean[k] for k in rest], ddof=1)
        share = (GROUPS - 1) / GROUPS * v_rest / (v_rest + s_rest)
        r = ragged.score[ragged.group == i]
        expected.append(r - (1 - share) * (r.sum() - r) / (SIZE - 1) - share * target)
    got = ours(ragged, **WHOLE, baseline="shrunk", scale="none")
    assert got == pytest.approx(ragged.rows(torch.cat(expected)))


def test_deepseekmath_process(ragged):
    expected = torch.zeros_like(ragged.reward)
    for g in range(GROUPS):
        own = torch.from_numpy(ragged.group == g)
        steps = ragged.reward[own][ragged.mask[own]]
        z = (ragged.reward[own] - steps.mean()) / steps.std() * ragged.mask[own]
        expected[own] = z.flip(1).cumsum(1).flip(1)
    settings = {"value": "process", "key": "group", "baseline": "none", "scale": "none"}
    got = ours(ragged, GAMMA, **settings, fallback=[], ddof=1)
    assert got == pytest.approx(ragged.rows(expected), rel=1e-6)


def standardised(values, cells, members, ddof):
    """(x - mean) / std in each cell; 0 in cells that one member alone has visited."""
    found = np.zeros(len(values))
    for cell in set(cells):
        own = [i for i, c in enumerate(cells) if c == cell]
        if len({members[i] for i in own}) > 1:
            found[own] = (values[own] - values[own].mean()) / values[own].std(ddof=ddof)
    return found


def test_gigpo(ragged):
    outcome = ragged.rows(ragged.by_group(lambda r: (r - r.mean()) / r.std()))
    rollout, to_go = ragged.rollout, ragged.rows(ragged.to_go())
    states = [(g, *o) for g, o in zip(rollout.group_N.tolist(), ragged.obs.tolist(), strict=True)]
    anchors = standardised(to_go, states, rollout.member, 1)
    level = {"coef": 0.7, "gamma": GAMMA, "value": "return_to_go", "key": "state"}
    got = ours(
        ragged,
        **WHOLE,
        baseline="mean",
        scale="group",
        ddof=1,
        plus=[{**level, "scale": "timestep"}],
    )
    assert got == pytest.approx(outcome + 0.7 * anchors, rel=1e-6)


def test_tgrpo(ragged):
    outcome = ragged.rows(ragged.by_group(lambda r: (r - r.mean()) / r.std(correction=0)))
    rollout = ragged.rollout
    cells = list(zip(rollout.group_N.tolist(), rollout.step.tolist(), strict=True))
    steps = standardised(rollout.reward, cells, rollout.member, 0)
    level = {"coef": 1.0, "value": "step", "key": "group_step", "scale": "timestep"}
    got = ours(ragged, **WHOLE, baseline="mean", scale="group", plus=[level])
    assert got == pytest.approx(outcome + steps, rel=1e-6)


def test_gpg_grid(ragged):
    """Others in the same cell of the grid, group by group; nobody there: 0."""
    rollout, to_go = ragged.rollout, ragged.rows(ragged.to_go())
    cells = [(g, *np.round(o / 2)) for g, o in zip(rollout.group_N, ragged.obs, strict=True)]
    expected = np.zeros(len(to_go))
    for i, cell in enumerate(cells):
        own = rollout.member[i]
        others = [to_go[j] for j, c in enumerate(cells) if c == cell and rollout.member[j] != own]
        expected[i] = to_go[i] - np.mean(others) if others else 0.0
    got = ours(ragged, GAMMA, **ROWS, key="bin", bin_size=2.0, scale="none")
    assert got == pytest.approx(expected)


def test_rllab_linear_feature_baseline(ragged):
    """Least squares of the return-to-go on [o, o^2, t, t^2, t^3, 1], here of the other groups."""
    rollout, to_go = ragged.rollout, ragged.rows(ragged.to_go())
    t = rollout.step[:, None] / 100
    design = np.hstack([ragged.obs, ragged.obs**2, t, t**2, t**3, np.ones_like(t)])
    expected = np.zeros(len(to_go))
    for g in range(GROUPS):
        own = rollout.group_N == g
        weights = np.linalg.lstsq(design[~own], to_go[~own], rcond=None)[0]
        expected[own] = to_go[own] - design[own] @ weights
    settings = {"key": "batch", "baseline": "none", "adjust": "linear", "scale": "none"}
    got = ours(ragged, GAMMA, **ROWS, **settings)
    # the ridge, 1e-5 of each feature's size, is all that differs
    assert got == pytest.approx(expected, abs=0.02)
