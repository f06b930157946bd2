"""From the node `reward` of a config to what an attempt is worth."""

from collections.abc import Callable
from typing import Any

from grpo_cli import reward_functions
from grpo_cli.config.build import Words, component
from grpo_cli.config.build_lookahead import transition_reward
from grpo_cli.errors import ConfigError
from grpo_cli.reward_functions import ENV_REWARD, weighted


def shipped_or_own(node: Words) -> Callable[..., Any]:
    """Find the reward function that a node names."""
    return component(reward_functions, node)


def build_reward(
    words: Words, load: Callable[[Words], Callable[..., Any]] = shipped_or_own
) -> weighted:
    """Build what an attempt is worth, its functions loaded and checked.

    Args:
        words: the whole config.
        load: finds the function that a node names.

    Raises:
        ConfigError: a function that does not exist or takes no rollout, or two of one name.
    """
    node = words["reward"]
    if transition_reward(words) is not None:
        return ENV_REWARD  # the group mode asks it while it simulates
    alone = node["name"] != "weighted"
    names = [node["name"]] if alone else node.get("functions", ["env"])
    labels = [name.rpartition(":")[2].rpartition(".")[2] for name in names]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise ConfigError(
            f"reward.functions has two called {twice[0]}", "give each a name of its own"
        )
    parts = [node] if alone else [{"name": name} for name in names]
    functions = [load(part) for part in parts]
    named = dict(zip(labels, functions, strict=True))
    if alone:
        return weighted(functions=named)
    return component(reward_functions, {**node, "functions": named})  # type: ignore[return-value]
