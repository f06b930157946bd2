"""What `GRPO` is made of, built from its keywords."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gymnasium import spaces

from grpo_cli.adam import Adam
from grpo_cli.api.bodies import body
from grpo_cli.api.keywords import Keywords, at
from grpo_cli.distributions import Family
from grpo_cli.entropy import EntropyCoef, bonus
from grpo_cli.kl import exact
from grpo_cli.learner import Learner
from grpo_cli.losses import clip
from grpo_cli.objective import Objective
from grpo_cli.policies import Policy, make_policy
from grpo_cli.randomness import Purpose, rng
from grpo_cli.sinks import Jsonl, Sink, TensorBoard
from grpo_cli.update import Schedule

ADAM_EPS = 1e-5  # as in PPO of Stable-Baselines3


def make_body(
    kind: str, words: Keywords, space: spaces.Space, family: Family, seed: int, device: torch.device
) -> Policy:
    """Build the policy with its initial weights.

    Raises:
        ConfigError: no such policy, one that does not fit, or a keyword that it does not take.
    """
    make = body(kind, words.policy_kwargs, space)
    generator = rng(seed, Purpose.INIT)
    return make_policy(make, space, family, generator, device, log_std=make.log_std, init=make.init)


def make_learner(words: Keywords, policy: Policy, seed: int) -> Learner:
    """Build the optimizer and what it minimises."""
    lr = at(words.learning_rate, 1.0)
    return Learner(
        policy, Adam(policy.parameters(), lr=lr, eps=ADAM_EPS), objective(words, 1.0),
        schedule(words), lr=lr, anneal=False, seed=seed, entropy_coef=EntropyCoef(words.ent_coef),
    )  # fmt: skip


def schedule(words: Keywords) -> Schedule:
    """Return epochs and minibatches."""
    return Schedule(
        epochs=words.n_epochs,
        num_minibatches=1,
        minibatch_size=words.batch_size,
        target_kl=words.target_kl,
        max_grad_norm=words.max_grad_norm,
    )


def objective(words: Keywords, remaining: float) -> Objective:
    """Return what is minimised; `remaining` runs from 1 to 0."""
    loss = partial(clip, eps_low=at(words.clip_range, remaining))
    return Objective(loss=loss, kl=exact, entropy=bonus)


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Let torch use one thread of the CPU: for small networks several are much slower."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_files(words: Keywords, saved: dict[str, Any], name: str, every: int) -> list[Sink]:
    """Open the files that a training writes; none unless a folder was named."""
    files: list[Sink] = []
    if words.tensorboard_log is not None:
        root = Path(words.tensorboard_log)
        number = 1 + sum(1 for _ in root.glob(f"{name}_*"))
        folder = root / f"{name}_{number}"
        folder.mkdir(parents=True)
        numbers = {key: value for key, value in saved.items() if isinstance(value, int | float)}
        text = "\n".join(f"{key}: {value}" for key, value in saved.items())
        files.append(TensorBoard(folder, text, numbers, every))
    if words.run_dir is not None:
        Path(words.run_dir).mkdir(parents=True, exist_ok=True)
        files.append(Jsonl(Path(words.run_dir) / "metrics.jsonl"))
    return files
