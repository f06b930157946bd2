"""From a config to a language model that learns: the parts that read and write words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from gymnasium import spaces

from grpo_cli import policies, reward_functions
from grpo_cli.config import build
from grpo_cli.config.build import Words, component, selecting
from grpo_cli.config.build_reward import build_reward
from grpo_cli.config.schema import is_own
from grpo_cli.config.trust import load_own
from grpo_cli.envs import Backend, EnvSource
from grpo_cli.errors import ConfigError
from grpo_cli.evaluate import Evaluator
from grpo_cli.policies import Policy
from grpo_cli.randomness import Purpose, Use, rng
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.reward_functions import weighted
from grpo_cli.train import Sampler

LONGEST = 1_000_000  # characters; the spaces of words say nothing that is used


def speaks(words: Words) -> bool:
    """Say whether a config is about words."""
    return words["group"]["name"] == "text"


def build_text_env(words: Words) -> tuple[Any, EnvSource]:
    """Build who asks, and what the rest of the house knows of it.

    Raises:
        ConfigError: there is no such task, or its words are wrong.
    """
    from grpo_cli.text.ask import GAMES, TASKS, make_asks

    env = words["env"]
    make: Callable[..., Any] | None = None
    if env["id"] not in TASKS and env["id"] not in GAMES:
        make = load_own(env["id"]) if is_own(env["id"]) else _registered(env["id"])
    asks, turns = make_asks(env["id"], env["kwargs"], env["max_steps"], make)
    space = spaces.Text(LONGEST)
    source = EnvSource(
        id=env["id"],
        kwargs=env["kwargs"],
        max_steps=words["policy"]["max_new_tokens"] * turns,
        reward_threshold=None,
        observation_space=space,
        action_space=space,
        codec=cast("Any", None),  # words need none
        masked=False,
        _construct=cast("Any", make_asks),
    )
    return asks, source


def _registered(env_id: str) -> Callable[..., Any]:
    import gymnasium as gym

    def make(**kwargs: Any) -> Any:
        try:
            return gym.make(env_id, disable_env_checker=True, **kwargs)
        except gym.error.Error as error:
            raise ConfigError(f"{env_id} cannot be made: {error}") from error

    return make


def build_text_policy(words: Words, device: torch.device) -> Policy:
    """Load the model, with its adapter where it gets one.

    Raises:
        ConfigError: there is no such model.
        MissingPackage: transformers or PEFT is not installed.
    """
    from grpo_cli.text.make import text

    node, build_keys = words["policy"], build.BUILDER_KEYS[policies]
    given = {key: value for key, value in node.items() if key not in {"name", *build_keys}}
    policy = text(device, rng(words["seed"], Purpose.INIT), **given)
    policy.entropy_gradient = bool(
        words["entropy"].get("coef") or words["entropy"].get("target") is not None
    )
    # It is all that an update, the loop and checkpoints ask of a policy: see objective.Learns.
    return cast("Policy", policy)


def build_text_reward(words: Words, device: torch.device, task_pays: bool) -> weighted:
    """Build what an answer is worth; functions may have TRL's signature.

    Raises:
        ConfigError: nothing pays.
    """
    from grpo_cli.text.rewards import Judged, RewardModel, is_judge

    def load(node: Words) -> Callable[..., Any]:
        if node["name"] == "reward_model":
            if words["group"]["reward_model"] is None:
                raise ConfigError(
                    "reward.functions has reward_model, and there is none",
                    "write group.reward_model=<folder or hub name>",
                )
            return Judged(RewardModel(words["group"]["reward_model"], device))
        found: Any = load_own(node["name"]) if is_own(node["name"]) else None
        return Judged(found) if is_judge(found) else component(reward_functions, node)

    reward = build_reward(words, load)
    if reward.plain and not task_pays:
        raise ConfigError(
            f"{words['env']['id']} pays nothing by itself",
            "write reward=./file.py:function, f(prompts, completions, **columns) -> numbers",
        )
    return reward


def pays(asks: Any) -> bool:
    """Say whether who asks pays anything by itself."""
    return getattr(getattr(asks, "task", None), "pays", True)


def build_text_sampler(
    words: Words, asks: Any, reward: weighted, ranks: Ranks = ALONE
) -> tuple[Sampler, Backend]:
    """Build the group mode; who asks stands where environments have their backend."""
    from grpo_cli.text.mode import text

    node = words["group"]
    greedy = words["advantage"].get("baseline") == "greedy"
    played = node["candidates"] or words["group_size"]
    mode = text(asks, words["num_groups"], played, words["seed"], greedy, history=node["history"])
    return selecting(mode, words, reward, ranks), cast("Backend", asks)


def text_evaluator(
    words: Words, asks: Any, reward: weighted, use: Use, ranks: Ranks = ALONE, pass_at: float = 1.0
) -> Evaluator:
    """Build what scores the policy on prompts it is not trained on."""
    from grpo_cli.text.evaluate import TextEvaluator

    found = TextEvaluator(
        asks, reward, words["seed"], use, ranks,
        history=words["group"]["history"], pass_at=pass_at,
    )  # fmt: skip
    return cast("Evaluator", found)


def absolute_model(name: str) -> str:
    """Make the name of a folder absolute, so that it is found again; names on the hub stay."""
    return str(Path(name).expanduser().resolve()) if Path(name).expanduser().is_dir() else name
