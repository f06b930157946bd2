from functools import partial

import numpy as np
import pytest
import torch
from builders import cartpole

from grpo_cli.envs import make_backend
from grpo_cli.groups import episodes, windows
from grpo_cli.policies import make_policy, recurrent
from grpo_cli.randomness import Purpose, rng


def remembers(source, cell="lstm", size=6):
    policy = make_policy(
        partial(recurrent, cell=cell, size=size, hidden=[5]),
        source.observation_space,
        source.codec.family,
        rng(0, Purpose.INIT),
        torch.device("cpu"),
        head_gain=1.0,
    )
    assert policy.by_member
    return policy


MODES = {
    "episodes": partial(episodes, group_size=3),
    "greedy": partial(episodes, group_size=3, greedy=True),
    "slots": partial(episodes, group_size=3, slots=2),
    **{tail: partial(windows, group_size=60, tail=tail) for tail in ("zero", "mask", "finish")},
}


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("mode", MODES)
def test_a_memory_begins_where_a_member_begins(mode, cell):
    source = cartpole(max_steps=25)
    backend, _ = make_backend("sync", source, 8)
    policy = remembers(source, cell)
    rollout = MODES[mode](backend, source.codec, 2, seed=0).sample(policy, 0)
    assert len(rollout.group) >= 4
    with torch.no_grad():
        params = policy(rollout.obs, np.bincount(rollout.member).tolist())
        logprob = policy.family.logprob(params, rollout.action).numpy()
    learned = rollout.weight > 0
    assert learned.any()
    assert rollout.logprob[learned] == pytest.approx(logprob[learned], abs=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_members_do_not_see_each_other_and_steps_not_what_comes(cell):
    policy = remembers(cartpole(), cell)
    obs = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    member = torch.tensor([0, 0, 1, 1, 1, 1, 4, 4, 4])
    lengths = [2, 4, 3]
    together = policy(obs, lengths)
    for number in (0, 1, 4):
        alone = policy(obs[member == number], [int((member == number).sum())])
        assert torch.allclose(alone, together[member == number], atol=1e-6)
    changed = obs.clone()
    changed[4] += 1.0
    moved = (policy(changed, lengths) != together).any(dim=1)
    assert moved.tolist() == [False] * 4 + [True] * 2 + [False] * 3


@pytest.mark.parametrize(("cell", "gates"), [("gru", 3), ("lstm", 4)])
def test_at_the_start_a_cell_keeps_what_it_holds(cell, gates):
    layer = remembers(cartpole(), cell, size=2).body.cell
    # Both cells have their gate of keeping second.
    assert layer.bias_ih_l0.tolist() == [0, 0, 1, 1] + [0] * 2 * (gates - 2)
    assert not layer.bias_hh_l0.any()


def test_a_policy_that_remembers_asks_for_whole_members():
    with pytest.raises(ValueError, match="whole members"):
        remembers(cartpole())(torch.from_numpy(np.zeros((2, 4), np.float32)))
