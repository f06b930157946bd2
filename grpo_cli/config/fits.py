"""What only the environment can refuse, and what was chosen by looking at it."""

from typing import Any

from gymnasium import spaces

from grpo_cli.envs import EnvSource
from grpo_cli.errors import ConfigError
from grpo_cli.observations import entries, find_mask
from grpo_cli.policies import chosen, num_choices

MOST_FEATURES = 512  # numbers of an observation; a ridge solve takes the cube of them


def check_linear(words: dict[str, Any], source: EnvSource) -> None:
    """Refuse a linear adjustment where observations are no few numbers.

    Raises:
        ConfigError: they are images, or say which of several things is the case.
    """
    node = words["advantage"]
    if not any(level.get("adjust") == "linear" for level in (node, *node.get("plus", ()))):
        return
    found = entries(source.observation_space).values()
    width = sum(_width(space) for space in found)
    if width <= MOST_FEATURES and all(isinstance(space, spaces.Box) for space in found):
        return
    raise ConfigError(
        f"advantage.adjust=linear reads observations as at most {MOST_FEATURES} numbers, and those "
        f"of {source.id} are {source.observation_space}",
        "set advantage.adjust=none",
    )


def check_length(words: dict[str, Any], source: EnvSource) -> str:
    """Say so where one update may take more steps than the run; nothing where it is bounded."""
    group = words["group"]
    if not source.endless or group["name"] != "episodes" or group.get("horizon"):
        return ""
    members = words["num_groups"] * words["group_size"]
    most = members * source.max_steps
    if most <= words["total_steps"]:
        return ""
    return (
        f"{members} members may play {source.max_steps:,} steps each: one update of up to {most:,} "
        f"env steps, where total_steps is {words['total_steps']:,} (env.max_steps=N bounds it)"
    )


def _width(space: spaces.Space) -> int:
    size = 1
    for side in space.shape or ():
        size *= side
    return size


def policy_notice(words: dict[str, Any], source: EnvSource) -> str:
    """Say which body `auto` takes; nothing where a person chose it."""
    if words["policy"]["name"] != "auto":
        return ""
    space, reading = find_mask(source.observation_space, num_choices(source.codec.family))
    name, why = chosen(space)
    return f"policy {name}: {why}" + (", action_mask is obeyed" if reading.masked else "")
