"""What an update costs, counted; and that it waits for a device as often however long it is."""

import json
import re
from pathlib import Path

import count
import pytest
import torch
from builders import cartpole, make_cartpole_policy

APART = ["advantage.key=batch", "advantage.fallback=[]"]  # all live equally long
FED = ["env=CartPole-v1", "backend=native", "num_groups=2", "group_size=4", *APART]
BOX = ["env=Pendulum-v1", "backend=sync", "num_groups=2", "group_size=4", "advantage=linear"]
MEMORY = ["env=CartPole-v1", "backend=native", "policy=recurrent", "num_groups=2", "group_size=4"]
WAITS = "host synchronisations"
# What another torch, or another Python, does not change.
OURS = {"backend steps", "bytes of a rollout", "Python calls", WAITS}


def test_an_update_takes_what_the_file_says():
    expected, found = json.loads(count.FILE.read_text()), count.counted()
    if expected["torch"] != found["torch"]:
        for tree in (expected, found):
            tree |= {n: {k: v for k, v in tree[n].items() if k in OURS} for n in count.CONFIGS}
            del tree["torch"]
    assert found == expected, "\n" + count.table(expected, found)


def test_the_file_was_made_with_the_torch_of_the_constraints():
    constraints = (Path(__file__).parents[1] / "constraints.txt").read_text()
    pinned = re.search(r"^torch==(\S+)$", constraints, re.MULTILINE)
    assert pinned is not None
    assert json.loads(count.FILE.read_text())["torch"] == pinned[1]


@pytest.mark.parametrize("words", [FED, BOX], ids=["feed-forward", "continuous"])
def test_neither_steps_nor_minibatches_are_waited_for(words):
    short = count.count(*words, "env.max_steps=4", "epochs=2", "num_minibatches=2")
    long = count.count(*words, "env.max_steps=8", "epochs=2", "num_minibatches=4")
    assert long["backend steps"] == 2 * short["backend steps"]
    assert long["torch operations"] > short["torch operations"]
    assert long[WAITS] == short[WAITS]


def test_a_memory_is_waited_for_once_a_round_of_steps():
    short = count.count(*MEMORY, "env.max_steps=4", "epochs=2", "num_minibatches=2")
    long = count.count(*MEMORY, "env.max_steps=8", "epochs=2", "num_minibatches=4")
    assert long[WAITS] - short[WAITS] == long["backend steps"] - short["backend steps"] == 4


def test_a_wait_is_found():
    found = count.Counter()
    with count.Dispatched(found):
        x = torch.arange(6.0)
        x[x > 2]  # a mask: its size is asked for
        float(x.sum())
        assert x.sum() > 1
    assert found[WAITS] == 3
    assert found["bytes of tensors"] >= 24


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_on_a_device_acts_without_it():
    policy = make_cartpole_policy(cartpole()).to("cuda")
    act, obs = policy.acting(), torch.randn(9, 4).numpy()
    torch.cuda.set_sync_debug_mode("error")
    try:
        greedy, _ = act(obs, None, None)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert greedy.tolist() == policy.act(obs, None)[0].tolist()
