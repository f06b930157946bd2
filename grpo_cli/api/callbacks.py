"""Callbacks of Stable-Baselines3 on a run that samples whole rollouts at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from grpo_cli.rollout import Rollout
from grpo_cli.sinks import Sink


class Stopped(Exception):
    """A callback asked for the end of training."""


class Log:
    """What callbacks log with: numbers are recorded, then dumped to the files of the run."""

    def __init__(self) -> None:
        self.sinks: Sequence[Sink] = ()
        self._recorded: dict[str, float] = {}

    def record(self, key: str, value: Any, exclude: Any = None) -> None:
        """Note a number."""
        self._recorded[key] = float(value)

    def dump(self, step: int = 0) -> None:
        """Write the notes."""
        for sink in self.sinks:
            sink.write(step, self._recorded)
        self._recorded = {}


class Callbacks:
    """One or many callbacks, called as Stable-Baselines3 calls them.

    `on_step` follows once for each step of the environments, after the rollout was sampled and
    before the update: the policy that a callback evaluates or saves is the one that acted.

    Args:
        given: None, a callback, a function `f(locals, globals) -> bool`, or a list of them.
        model: what callbacks see as their model.
    """

    def __init__(self, given: Any, model: Any) -> None:
        self._model = model
        self._objects, self._functions = _sorted(given)
        for callback in self._objects:
            callback.init_callback(model)

    def start(self, words: dict[str, Any]) -> None:
        """Training begins."""
        for callback in self._objects:
            callback.on_training_start(words, globals())

    def end(self) -> None:
        """Training has ended."""
        for callback in self._objects:
            callback.on_training_end()

    def rollout_start(self) -> None:
        """A rollout is about to be sampled."""
        for callback in self._objects:
            callback.on_rollout_start()

    def rollout_end(self) -> None:
        """A rollout was sampled, and every step has been reported."""
        for callback in self._objects:
            callback.on_rollout_end()

    def steps(self, rollout: Rollout, width: int) -> None:
        """Report a rollout, `width` steps at a time; counts `model.num_timesteps` on the way.

        Every simulated step is reported. Of those that only looked ahead nothing is told: the
        walks come first, with the ends of their episodes, and rewards are nan.

        Raises:
            Stopped: a callback wants no more.
        """
        steps = rollout.sim_steps
        if not self._objects and not self._functions:
            self._model.num_timesteps += steps
            return
        reward = rollout.reward if rollout.parent is None else np.full(steps, np.nan)
        played = rollout.episodes
        ends = dict(zip((np.cumsum(played.length) - 1).tolist(), range(steps), strict=False))
        for first in range(0, steps, width):
            rows = range(first, min(first + width, steps))
            self._model.num_timesteps += len(rows)
            over = [ends.get(row) for row in rows]
            seen = {
                "self": self._model,
                "rewards": reward[rows.start : rows.stop],
                "dones": np.array([episode is not None for episode in over]),
                "infos": [
                    {}
                    if e is None
                    else {"episode": {"r": float(played.ret[e]), "l": int(played.length[e])}}
                    for e in over
                ],
            }
            if not self._step(seen):
                raise Stopped

    def _step(self, seen: dict[str, Any]) -> bool:
        for callback in self._objects:
            callback.update_locals(seen)
        wishes = [callback.on_step() for callback in self._objects]
        # A function that returns nothing does not mean to stop.
        wishes += [function(seen, globals()) is not False for function in self._functions]
        return all(wishes)


def _sorted(given: Any) -> tuple[list[Any], list[Callable[..., Any]]]:
    """Return callback objects, and plain functions."""
    each = [] if given is None else given if isinstance(given, list | tuple) else [given]
    objects = [callback for callback in each if hasattr(callback, "init_callback")]
    return objects, [callback for callback in each if not hasattr(callback, "init_callback")]
