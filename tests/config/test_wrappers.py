"""How wrappers are written, what is refused, and whose code they are."""

import json
from pathlib import Path

import pytest
from small_runs import own_place

from grpo_cli.config import trust, wrappers
from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import eval_job, train_job
from grpo_cli.config.schema import EvalConf
from grpo_cli.errors import CheckpointError, ConfigError
from grpo_cli.sinks.view import View

QUICK = [
    "num_groups=1", "group_size=2", "epochs=1", "eval.episodes=1", "eval.final_episodes=2",
    "total_steps=30", "env.max_steps=9", "sinks=[]", "policy.hidden=[4]",
]  # fmt: skip
OWN = """
import gymnasium as gym

class Shy(gym.ObservationWrapper):
    def __init__(self, env, by=0.5):
        super().__init__(env)
        self.by = by

    def observation(self, obs):
        return obs * self.by
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def around(word):
    return wrappers.settled(list(compose(["env=CartPole-v1", f"env.wrappers={word}"]).env.wrappers))


@pytest.mark.parametrize(
    ("word", "node"),
    [
        ("[FlattenObservation]", {"name": "FlattenObservation"}),
        (
            "[{FrameStackObservation: 4}]",
            {"name": "FrameStackObservation", "stack_size": 4},
        ),
        (
            "[{name: gymnasium.wrappers.FrameStackObservation, stack_size: 2}]",
            {"name": "FrameStackObservation", "stack_size": 2},
        ),
        ("[./own_w.py:Shy]", {"name": "./own_w.py:Shy"}),
    ],
)
def test_three_ways_to_write_and_one_way_to_keep(word, node):
    assert around(word) == [node]


@pytest.mark.parametrize(
    ("word", "what", "fix"),
    [
        ("[FrameStack]", "there is no wrapper FrameStack", "FrameStackObservation"),
        ("[NormalizeObservation]", "keeps statistics", "policy.normalise=true"),
        ("[gymnasium.wrappers.NormalizeReward]", "keeps statistics", "running_std"),
        ("[{TimeLimit: 5}]", "key of its own", "env.max_steps=N"),
        ("[TransformReward]", "takes a function", "reward=./my_reward.py:fn"),
        ("[FrameStackObservation]", "missing a required argument", "it takes stack_size"),
        ("[{name: FrameStackObservation, stack_sise: 4}]", "stack_s", "stack_size"),
        ("[{FlattenObservation: 3}]", "has no parameters", "write FlattenObservation alone"),
        ("[3]", "cannot hold 3", "write Name"),
        ("FlattenObservation", "env.wrappers must be a list of Name", "[]"),
        ("[vector]", "there is no wrapper vector", ""),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_built(word, what, fix):
    with pytest.raises(ConfigError) as caught:
        around(word)
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_lists_become_what_gymnasium_asks_for():
    """A tuple for a shape, an array for bounds."""
    nodes = [{"name": "ReshapeObservation", "shape": [2, 2]}]
    nodes += [{"name": "RescaleObservation", "min_obs": [-1, -1, -1, -1], "max_obs": 1}]
    reshape, rescale = wrappers.build_wrappers(nodes)
    assert reshape.around.keywords == {"shape": (2, 2)}
    assert rescale.around.keywords["min_obs"].tolist() == [-1, -1, -1, -1]


def trained(*words):
    given = ["env=CartPole-v1", *QUICK, *words]
    return train_job(compose(given), overrides=given, view=View(quiet=True))


def test_an_own_wrapper_is_used_kept_and_asked_about():
    Path("own_w.py").write_text(OWN)
    summary = trained("env.wrappers=[{name: ./own_w.py:Shy, by: 0.25},{FrameStackObservation: 2}]")
    run = Path(summary["run"])
    cfg = trust.OmegaConf.load(run / "config.yaml")
    here = str(Path("own_w.py").resolve())
    assert list(cfg.env.wrappers) == [
        {"name": f"{here}:Shy", "by": 0.25},
        {"name": "FrameStackObservation", "stack_size": 2},
    ]
    assert trust.own_code(cfg) == [f"{here}:Shy"]
    again = eval_job(EvalConf(ckpt=str(run), episodes=2), view=View(quiet=True), trusted=False)
    assert again["eval"] == summary["eval"]
    meta = json.loads((run / "meta.json").read_text())
    (run / "meta.json").write_text(json.dumps({**meta, "seal": ""}))
    with pytest.raises(CheckpointError, match="would import"):
        eval_job(EvalConf(ckpt=str(run), episodes=2), view=View(quiet=True), trusted=False)


def test_a_stack_of_frames_is_another_policy():
    """Four numbers a frame; three frames are twelve inputs once they are flat."""
    summary = trained("env.wrappers=[{FrameStackObservation: 3},FlattenObservation]")
    done = eval_job(EvalConf(ckpt=summary["run"], episodes=2), view=View(quiet=True), trusted=False)
    assert done["eval"] == summary["eval"]
