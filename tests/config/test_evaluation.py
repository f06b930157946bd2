"""The words of `grpo eval`."""

import pytest

from grpo_cli.config.evaluation import eval_conf
from grpo_cli.errors import ConfigError


def test_words_become_a_plain_object():
    conf = eval_conf(["ckpt=runs/x/best", "episodes=7", "mode=greedy", "min_reward=475", "seed=1"])
    assert (conf.ckpt, conf.episodes, conf.mode) == ("runs/x/best", 7, "greedy")
    assert (conf.min_reward, conf.seed, conf.env) == (475.0, 1, None)
    assert eval_conf(["ckpt=last", "env=./my_env.py:Valve"]).env == "./my_env.py:Valve"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "no checkpoint named"),
        (["ckpt=last", "episode=3"], "unknown key episode"),
        (["ckpt=last", "episodes=0"], "episodes must be a whole number, at least 1, got 0"),
        (["ckpt=last", "episodes=x"], "episodes must be a whole number, at least 1, got x"),
        (["ckpt=last", "mode=gredy"], "mode must be greedy, sampled or both, got gredy"),
        (["ckpt=last", "min_reward=nan"], "min_reward must be a number, or null, got nan"),
        (["ckpt=last", "device=tpu"], "device must be auto, cpu, cuda or cuda:N, got tpu"),
    ],
)
def test_refused(words: list[str], what: str):
    with pytest.raises(ConfigError) as caught:
        eval_conf(words)
    assert caught.value.what == what
