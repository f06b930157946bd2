"""What the presets of published systems are published to do."""

import torch

from grpo_cli import checkpoint
from grpo_cli.config import build
from grpo_cli.config.build_env import build_env
from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import train_job
from grpo_cli.sinks.view import View


def test_the_dynamic_bandit_is_followed(tmp_path, monkeypatch):
    """Published (CarlosArguilar/GRPO): arm 3 has probability .843 after 40 updates."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    words = ["env=grpo/DynamicBandit-v0", "preset=model_agnostic", "total_steps=1280"]
    words += ["eval.episodes=1", "eval.final_episodes=1"]
    cfg = compose(words)
    summary = train_job(cfg, overrides=words, view=View(quiet=True))
    assert summary["updates"] == 40
    plain = build.plain(cfg)
    policy = build.build_policy(plain, build_env(plain), torch.device("cpu"))
    policy.load_state_dict(checkpoint.load(tmp_path / summary["checkpoint"]).policy)
    probs = policy(torch.ones(1, 1)).softmax(1)[0]
    assert probs.argmax() == 3
    assert probs[3] >= 0.8


def test_the_textbook_is_composed():
    cfg = compose(["env=CartPole-v1", "preset=textbook", "group.tail=finish"])
    assert (cfg.group.name, cfg.group.tail, cfg.group_size) == ("windows", "finish", 200)
    assert (cfg.lr, cfg.kl.reference, cfg.advantage.ddof) == (3e-4, "old", 1)
    # A word of the command line wins over the preset.
    assert (
        compose(["env=CartPole-v1", "preset=textbook", "group=episodes"]).group.name == "episodes"
    )
