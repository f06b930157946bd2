"""From an id to who asks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym

from grpo_cli.errors import ConfigError
from grpo_cli.text.asking import Asks, Once, Plays
from grpo_cli.text.blackjack import Blackjack
from grpo_cli.text.data import dataset, jsonl
from grpo_cli.text.tasks import Arithmetic, Copy, Countdown

TASKS: dict[str, Callable[..., Any]] = {
    "text/arithmetic": Arithmetic,
    "text/copy": Copy,
    "text/countdown": Countdown,
    "text/jsonl": jsonl,
    "text/dataset": dataset,
}
GAMES: dict[str, Callable[..., gym.Env]] = {"text/blackjack": Blackjack}
DEFAULT_TURNS = 10


def make_asks(
    env_id: str,
    kwargs: dict[str, Any],
    max_turns: int | None,
    make: Callable[..., gym.Env] | None = None,
) -> tuple[Asks, int]:
    """Build who asks.

    Args:
        env_id: a task of ours, or what a person calls their environment.
        kwargs: for its constructor.
        max_turns: after so many a conversation is cut off; None: 10 of an environment.
        make: constructor of an environment that is none of ours.

    Returns:
        It, and how many turns a conversation has at most.

    Raises:
        ConfigError: there is no such task, or its constructor does not take the arguments.
    """
    make = GAMES.get(env_id, make)
    try:
        if env_id in TASKS:
            return Once(TASKS[env_id](**kwargs)), 1
        if make is None:
            raise ConfigError(
                f"there is no text task {env_id}", f"there are {', '.join([*TASKS, *GAMES])}"
            )
        turns = max_turns or DEFAULT_TURNS
        return Plays(partial(make, **kwargs), turns), turns
    except TypeError as error:
        raise ConfigError(
            f"{env_id} cannot be made: {error}", "check env.kwargs; docs/text.md lists them"
        ) from error
