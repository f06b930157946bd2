"""Sorting words into flags and overrides."""

import pytest

from grpo_cli.cli.words import HYDRA_FLAGS, arrange
from grpo_cli.config.schema import EvalConf
from grpo_cli.errors import ConfigError


@pytest.mark.parametrize(
    ("words", "flags", "overrides"),
    [
        ("seed=1 -m lr=2", ["--multirun"], ["seed=1", "lr=2"]),
        ("seed=1 -c job lr=2", ["--cfg", "job"], ["seed=1", "lr=2"]),
        ("seed=1 --cfg=job -p loss lr=2", ["--cfg", "job", "--package", "loss"], None),
        ("-cjob seed=1 lr=2", ["--cfg", "job"], None),
        ("--multi seed=1 lr=2", ["--multirun"], None),
        ("-cd here seed=1 --info lr=2", ["--config-dir", "here", "--info"], None),
        ("seed=1 --info defaults lr=2", ["--info", "defaults"], None),
        ("~loss +env.kwargs.x=1 ++seed=1", [], ["~loss", "+env.kwargs.x=1", "++seed=1"]),
        ("loss=my.fn +loss.x=1", [], None),
        ("reward_scaling_fn=my.fn +reward_scaling.x=1", [], None),
        ("hydra/launcher=joblib hydra.verbose=true", [], None),
        ("name=", [], ["name="]),
    ],
)
def test_order(words: str, flags: list[str], overrides: list[str] | None):
    found = arrange(words.split(), flags=HYDRA_FLAGS)
    assert found.flags == flags
    assert found.overrides == (overrides or [w for w in words.split() if "=" in w and w[0] != "-"])
    assert found.sweeps == ("--multirun" in flags)


def test_config_folders_are_kept():
    assert arrange(["--config-dir=a", "-cd", "b"], flags=HYDRA_FLAGS).dirs == ["a", "b"]
    assert arrange(["--config-dir=a", "+mine=x"], flags=HYDRA_FLAGS).overrides == ["+mine=x"]


@pytest.mark.parametrize(
    ("words", "what", "fix"),
    [
        ("--group-size 8", "--group-size is not a flag", "write group_size=8"),
        ("--group_size=8", "--group_size is not a flag", "write group_size=8"),
        ("--samples-per-time-step 8", "--samples-per-time-step is not a flag", "group_size=8"),
        ("--loss.eps-low 0.1", "--loss.eps-low is not a flag", "write loss.eps_low=0.1"),
        ("--lr env=CartPole-v1", "--lr is not a flag", "write lr=..."),
        ("--multrun", "there is no flag --multrun", "did you mean --multirun?"),
        ("--jsn", "there is no flag --jsn", "did you mean --json?"),
        ("--zork", "there is no flag --zork", "key=value"),
        ("-sc query=bash", "-sc is refused", ""),
        ("--shell-completion", "--shell-completion is refused", ""),
        ("--experimental-rerun x", "--experimental-rerun is refused", ""),
        ("-c", "--cfg needs a value", ""),
        ("-c jb", "--cfg shows job, hydra or all, not jb", ""),
        ("CartPole-v1", "cannot read the word CartPole-v1", "write env=CartPole-v1"),
        ("zork", "cannot read the word zork", "key=value"),
        ("lr 3", "lr has no value", "write lr=..."),
        ("=3", "cannot read the word =3", "without spaces"),
        ("gamm=1", "unknown key gamm", "did you mean gamma?"),
        ("loss.eps_lo=1", "unknown key loss.eps_lo", "did you mean loss.eps_low?"),
        ("+loss.x=1", "unknown key loss.x", "loss takes loss.name"),
        ("+hiden=1", "unknown key hiden", "did you mean policy.hidden?"),
    ],
)
def test_refused(words: str, what: str, fix: str):
    with pytest.raises(ConfigError) as caught:
        arrange(words.split(), flags=HYDRA_FLAGS)
    assert caught.value.what.startswith(what)
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("word", "fix"),
    [
        ("runs/x", "write ckpt=runs/x"),
        ("--ckpt=last", "write ckpt=last"),
        ("--episodes", "write episodes=..."),
        ("-m", "grpo train does"),
    ],
)
def test_refused_by_a_verb_with_other_keys(word: str, fix: str):
    with pytest.raises(ConfigError) as caught:
        arrange([word], EvalConf)
    assert caught.value.fix == fix
