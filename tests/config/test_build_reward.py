"""Reward functions by name, from a list and alone, up to a run that learns from them."""

import json
from pathlib import Path

import pytest
from builders import make_rollout
from small_runs import own_place, train

from grpo_cli.config.build import plain
from grpo_cli.config.build_reward import build_reward
from grpo_cli.config.compose import compose
from grpo_cli.errors import ConfigError

CARTPOLE = "env=CartPole-v1"
OWN = """
def fuel(rollout):
    return (rollout.action[:, 0] == 1).numpy().astype(float)

def short(rollout, *, by=1.0):
    return [-by * steps if steps > 1 else None for steps in rollout.episodes.length]

def two(rollout, more):
    return rollout.reward

fixed = 3
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for home in own_place(tmp_path, monkeypatch):
        (home / "my_rewards.py").write_text(OWN)
        yield home


def build(*words):
    return build_reward(plain(compose([CARTPOLE, *words])))


def test_the_default_is_the_environments_reward():
    assert build().plain


def test_functions_are_found_by_name_and_called_by_theirs():
    names = "env,length,./my_rewards.py:fuel,my_rewards.short"
    reward = build(f"reward.functions=[{names}]", "reward.weights=[1,-1,0.5,2]")
    columns = reward(make_rollout([[1.0, 1.0], [4.0]]))
    assert columns.names == ("env", "length", "fuel", "short")
    # env 1 1 | 4, minus lengths 2 and 1, no fuel, twice -2 for the one member it applies to
    assert columns.total.tolist() == [1, 1 - 2 - 4, 4 - 1]


def test_a_function_alone_takes_parameters():
    reward = build("reward=./my_rewards.py:short", "+reward.by=3")
    assert reward(make_rollout([[1.0, 1.0]])).total.tolist() == [0, -6]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["reward.functions=[env,nope]"], "has no nope"),
        (["reward.functions=[length,my_pkg.length]"], "two called length"),
        (["reward.functions=[./my_rewards.py:two]"], "cannot be called as f\\(rollout\\)"),
        (["reward.functions=[./my_rewards.py:fixed]"], "no function"),
        (["reward.functions=[./my_rewards.py:nope]"], "there is no nope"),
        (["reward.functions=[]"], "is empty"),
        (["reward.weights=[1,2]"], "2 numbers for 1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_simulated(words, what):
    with pytest.raises(ConfigError, match=what):
        build(*words)


def test_a_stateful_scaling_cannot_follow_several_rewards():
    with pytest.raises(ConfigError, match="follows one stream"):
        train(CARTPOLE, "reward.aggregate=normalise_then_sum", "reward_scaling=running_std")


def test_a_run_with_everything(place):
    words = ["reward.functions=[env,./my_rewards.py:fuel]", "reward.weights=[1,-0.1]"]
    words += ["reward.aggregate=normalise_then_sum", "advantage=outcome", "reward.overlong_limit=9"]
    words += ["reward.mask_truncated=true", "env.max_steps=12", "group.candidates=10"]
    words += ["group.drop_dead=true", "group.max_resample=2"]
    run = Path(train(CARTPOLE, *words)["run"])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        assert line["rewards/overlong/mean"] <= 0 <= line["rewards/fuel/mean"]
    meta = json.loads((run / "meta.json").read_text())
    assert meta["sources"] == [f"{place}/my_rewards.py"]
    # sampled steps all count: 10 candidates a group, of which 8 are kept
    steps = [line["rollout/ep_len_mean"] * 10 * line["group/num_sampled"] for line in lines]
    assert sum(steps) == pytest.approx(lines[-1]["time/total_timesteps"])
