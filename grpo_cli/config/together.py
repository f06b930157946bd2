"""Values of different parts that are allowed one by one, and impossible together."""

from collections.abc import Mapping
from typing import Any

from grpo_cli.errors import ConfigError


def check_together(tree: Mapping[str, Any]) -> None:
    """Refuse parts that do not fit each other; `tree` is the composed configuration, checked.

    Raises:
        ConfigError: what does not fit, and what to do.
    """
    _check_selection(tree["group"], tree["group_size"])
    _check_rewards(tree["reward"], tree["advantage"])


def _check_selection(group: Mapping[str, Any], group_size: int) -> None:
    candidates = group.get("candidates")
    if candidates is not None and candidates < group_size:
        raise ConfigError(
            f"group.candidates={candidates} is less than group_size={group_size}",
            "sample at least as many members as are kept, or set group.candidates=null",
        )
    if group.get("max_resample") and not group.get("drop_dead"):
        raise ConfigError(
            f"group.max_resample={group['max_resample']} replaces dropped groups, but none is "
            "dropped",
            "set group.drop_dead=true, or group.max_resample=0",
        )


def _check_rewards(reward: Mapping[str, Any], advantage: Mapping[str, Any]) -> None:
    separate = reward.get("aggregate") == "normalise_then_sum"
    if separate and advantage.get("scale") == "none":
        raise ConfigError(
            "reward.aggregate=normalise_then_sum, but advantage.scale=none normalises nothing",
            "set advantage.scale=group (GDPO), or reward.aggregate=sum_then_normalise",
        )
