"""From words to a learner."""

from functools import partial
from pathlib import Path

import pytest
from small_runs import own_place, train

from grpo_cli.config import build
from grpo_cli.config.build_env import build_env
from grpo_cli.config.compose import compose
from grpo_cli.config.files import find
from grpo_cli.config.learner import build_learner
from grpo_cli.errors import CheckpointError, ConfigError

OWN = """
from grpo_cli.losses import by_member, clip

@by_member()
def whole(new, batch):
    assert batch.num_members > 0
    return clip(new, batch, aggregate="member_mean")

def scored(rollout, reward, gamma, *, score_norm, k=1.0):
    assert len(score_norm) == len(reward)
    return k * (reward - reward.mean()) + score_norm
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def learner(*words, warnings=None):
    tree = build.plain(compose(["env=CartPole-v1", *words]))
    source = build_env(tree)
    policy = build.build_policy(tree, source, build.build_device("cpu"))
    return build_learner(tree, policy, source, ([] if warnings is None else warnings).append)


def test_without_a_coefficient_no_reference_is_built():
    assert learner().reference is None
    assert learner("kl=k3", "kl.where=reward").reference is None
    assert learner("kl.coef=0.1").reference is not None


def test_old_is_a_reference_that_follows_after_every_update():
    old = learner("kl.coef=0.1", "kl.reference=old").penalty
    synced = learner("kl.coef=0.1", "kl.sync_every=1").penalty
    assert old is not None
    assert synced is not None
    assert (old.reference.sync_every, old.reference.alpha) == (1, 1.0)
    assert (synced.reference.sync_every, synced.reference.alpha) == (1, 1.0)


def test_the_length_of_dr_grpo_is_the_time_limit():
    loss = learner("loss=dr_grpo").objective.loss
    assert isinstance(loss, partial)
    assert loss.keywords["length"] == 500
    given = learner("loss=dr_grpo", "loss.length=50").objective.loss
    assert isinstance(given, partial)
    assert given.keywords["length"] == 50


def test_published_losses_are_settings_of_clip():
    def settings(loss, **changes):
        layer = find("loss", loss)
        assert layer is not None
        return layer.content["loss"] | changes

    assert settings("bnpo") == settings("clip")
    assert settings("dapo", eps_high=None) == settings("bnpo")
    assert settings("grpo", aggregate="step_mean") == settings("bnpo")
    assert settings("dr_grpo", aggregate="member_mean") == settings("grpo")
    assert settings("luspo", aggregate="member_mean") == settings("gspo")
    level = {"ratio": "step", "eps_low": 0.2, "eps_high": None}
    assert settings("clip", aggregate="member_mean", **level) == settings("grpo")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["kl=k1", "kl.where=loss", "kl.coef=0.1"], "regularises nothing"),
        (["env=Pendulum-v1", "entropy=top_quantile"], "has no effect"),
        (["loss=reinforce"], "gradient is biased"),
    ],
)
def test_what_misleads_is_warned_about(words, says):
    warnings = []
    learner(*words, warnings=warnings)
    assert len(warnings) == 1
    assert says in warnings[0]


@pytest.mark.parametrize(
    "words",
    [
        ["kl=k1", "kl.coef=0.1"],
        ["entropy=top_quantile"],
        ["loss=reinforce", "epochs=1"],
        ["env=Pendulum-v1", "policy.bounds=tanh", "entropy=top_quantile"],
    ],
)
def test_what_does_not_mislead_is_not(words):
    warnings = []
    learner(*words, warnings=warnings)
    assert not warnings


def test_a_checkpoint_can_be_the_reference():
    words = ["env=./my_env.py:Guess", "env.max_steps=5", "kl.coef=0.1"]
    first = train(*words)["run"]
    again = train(*words, f"kl.reference={first}")["run"]
    saved = compose_reference(again)
    assert Path(saved).is_absolute()
    assert Path(saved).parent.parent == Path(first).resolve()


def compose_reference(run):
    lines = (Path(run) / "config.yaml").read_text().splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("  reference:"))


def test_references_that_do_not_fit_are_refused():
    with pytest.raises(CheckpointError, match=r"kl\.reference=synced") as caught:
        train("env=CartPole-v1", "kl.coef=0.1", "kl.reference=synced")
    assert "kl.sync_every" in caught.value.fix
    words = ["env=./my_env.py:Guess", "env.max_steps=5", "kl.coef=0.1"]
    run = train(*words)["run"]
    with pytest.raises(CheckpointError, match="was made for"):
        train("env=CartPole-v1", "kl.coef=0.1", f"kl.reference={run}")
    with pytest.raises(CheckpointError, match="does not fit"):
        train(*words, "policy.hidden=[8]", f"kl.reference={run}")


def test_own_code_gets_whole_members_and_score_norms(place):
    (place / "my_losses.py").write_text(OWN)
    own = ["loss=./my_losses.py:whole", "advantage=./my_losses.py:scored", "+advantage.k=2"]
    assert train("env=./my_env.py:Guess", "env.max_steps=5", *own)["updates"] > 0
    with pytest.raises(ConfigError, match="cannot be called"):
        train("env=CartPole-v1", "loss=./my_losses.py:scored")


@pytest.mark.parametrize(
    "words",
    [
        ["loss=gspo", "kl=k1", "kl.coef=0.01"],
        ["loss=luspo", "kl.coef=0.01", "kl.where=advantage", "kl.sync_every=1"],
        ["loss=sapo", "entropy=adaptive", "kl=k3", "kl.coef=0.01", "kl.target=0.01"],
        ["loss=vespo", "entropy=top_quantile", "kl=straight_through", "kl.coef=0.01"],
    ],
)
def test_settings_run_together(words):
    assert train("env=./my_env.py:Guess", "env.max_steps=5", *words)["updates"] > 0
