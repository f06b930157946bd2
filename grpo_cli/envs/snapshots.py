"""Saving and restoring plain environments: three ways, of which a proof chooses.

None of them is right for every environment. `deepcopy` re-runs the constructor of some and loses
their state without a word, attributes may hide state in a C library, and replaying needs resets
that depend on nothing but the seed. Nothing here says which: `simulators.prove` does.
"""

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType, MethodType, ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.envs.spaces import as_objects
from grpo_cli.envs.sync import Sync
from grpo_cli.rollout import Ints

Make = Callable[[], gym.Env]


class Unsaved(Exception):
    """A way of saving does not reach all of an environment's state."""


SCALARS = (bool, int, float, complex, str, bytes, np.generic, type(None))
CONTAINERS = (list, tuple, dict, set, deque)
# What belongs to the construction of an environment, not to its state.
FIXED = (gym.Env, spaces.Space, EnvSpec, ModuleType, FunctionType, MethodType, type)
# Renderers and models; the state of MuJoCo, MjData, is copied.
FIXED_MODULES = ("gymnasium", "pygame", "mujoco")
# Tables that are only read; copying the transitions of a toy text costs a millisecond.
TABLES = ("P", "_saved_kwargs", "_cached_spec", "_metadata", "metadata")


@dataclass(frozen=True)
class Stream:
    """A saved random generator."""

    kind: type[np.random.BitGenerator]
    state: Any


class Snapshots(Sync):
    """Plain environments whose members can be saved and restored, in any order."""

    replay_steps = 0  # steps that were computed again

    @property
    def slots(self) -> int:
        """How many live side by side."""
        return len(self.envs)


class Attributes(Snapshots):
    """The attributes of every wrapper and of the environment itself, a few microseconds.

    Numbers, texts, arrays, random generators, plain containers and the state of MuJoCo. An
    environment that holds anything else is refused: what that does cannot be seen from here.

    Raises:
        Unsaved: an attribute is of an unknown kind.
    """

    name = "attributes"

    @part("save and restore")
    def save(self, ids: Ints) -> NDArray:
        """Return the states of the named members, [B]."""
        return as_objects([[_values(layer) for layer in _layers(self.envs[i])] for i in ids])

    @part("save and restore")
    def restore(self, ids: Ints, states: NDArray) -> None:
        """Give the named members these states; they may have been another member's."""
        for i, state in zip(ids.tolist(), states, strict=True):
            for layer, values in zip(_layers(self.envs[i]), state, strict=True):
                _set(layer, values)


class Copies(Snapshots):
    """Copies of the whole environment, a few hundred microseconds."""

    name = "deepcopy"

    @part("save and restore")
    def save(self, ids: Ints) -> NDArray:
        """Return the states of the named members, [B]."""
        return as_objects([copy.deepcopy(self.envs[i]) for i in ids])

    @part("save and restore")
    def restore(self, ids: Ints, states: NDArray) -> None:
        """Give the named members these states; they may have been another member's."""
        for i, state in zip(ids.tolist(), states, strict=True):
            self.envs[i] = copy.deepcopy(state)


class Replay(Snapshots):
    """The reset seed and the actions since, done again: as many steps as the state is old.

    Args:
        make: makes one plain environment.
        num_members: how many live side by side.
    """

    name = "replay"

    def __init__(self, make: Make, num_members: int) -> None:
        super().__init__(make, num_members)
        # A state is (all before the last action, that action), down to (None, reset seed).
        self._past: list[Any] = [None] * num_members

    @part("env reset")
    def reset(self, seeds: Ints) -> NDArray:
        """Reset the first M environments with one seed each; observations [M, *O]."""
        return self.restart(np.arange(len(seeds)), seeds)

    @part("env reset")
    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Reset the named members alone, B of them; observations [B, *O]."""
        for i, seed in zip(ids.tolist(), seeds.tolist(), strict=True):
            self._past[i] = (None, seed)
        return super().restart(ids, seeds)

    @part("env step")
    def step(self, ids: Ints, actions: NDArray) -> tuple[Any, ...]:
        """Step the named members; see `Sync.step`."""
        for i, action in zip(ids.tolist(), actions, strict=True):
            self._past[i] = (self._past[i], action)
        return super().step(ids, actions)

    @part("save and restore")
    def save(self, ids: Ints) -> NDArray:
        """Return the states of the named members, [B]."""
        return as_objects([self._past[i] for i in ids])

    @part("save and restore")
    def restore(self, ids: Ints, states: NDArray) -> None:
        """Give the named members these states; they may have been another member's."""
        for i, state in zip(ids.tolist(), states, strict=True):
            actions, past = [], state
            while past[0] is not None:
                past, action = past
                actions.append(action)
            super().restart(np.array([i]), np.array([past[1]]))
            for action in reversed(actions):
                self._call(self.envs[i].step, action)
            self._past[i] = state
            self.replay_steps += len(actions)


class FreshReplay(Replay):
    """The same in an environment made anew, for those whose reset leaves something of before.

    BipedalWalker keeps its physics world over resets (Gymnasium's bug #728).
    """

    name = "replay in new environments"

    def __init__(self, make: Make, num_members: int) -> None:
        super().__init__(make, num_members)
        self._make = make

    @part("env reset")
    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Make the named members anew and reset them; observations [B, *O]."""
        self._renew(ids)
        return super().restart(ids, seeds)

    @part("save and restore")
    def restore(self, ids: Ints, states: NDArray) -> None:
        """Give the named members these states; they may have been another member's."""
        self._renew(ids)
        super().restore(ids, states)

    def _renew(self, ids: Ints) -> None:
        for i in ids.tolist():
            self.envs[i].close()
            self.envs[i] = self._make()


METHODS = (Attributes, Copies, Replay, FreshReplay)
"""From cheap to dear."""


def _layers(env: gym.Env) -> Iterator[gym.Env]:
    """Yield every wrapper, from the outside, and the environment itself."""
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env
    yield env


def _values(layer: gym.Env) -> dict[str, Any]:
    return {
        name: _saved(name, value)
        for name, value in vars(layer).items()
        if not _is_fixed(name, value)
    }


def _is_fixed(name: str, value: Any) -> bool:  # noqa: ANN401 - any attribute
    if isinstance(value, FIXED) or (name in TABLES and isinstance(value, dict)):
        return True
    kind = type(value)
    return kind.__module__.partition(".")[0] in FIXED_MODULES and kind.__name__ != "MjData"


def _saved(name: str, value: Any) -> Any:  # noqa: ANN401
    """Return a copy that later steps cannot touch."""
    if isinstance(value, SCALARS):
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, CONTAINERS):
        return copy.deepcopy(value)
    if isinstance(value, np.random.Generator):
        return Stream(type(value.bit_generator), value.bit_generator.state)
    kind = type(value).__name__
    if kind == "MjData":
        return _copy_mujoco(None, value)
    raise Unsaved(f"{name} is a {kind}")


def _set(layer: gym.Env, values: dict[str, Any]) -> None:
    own = vars(layer)
    for name, saved in values.items():
        if isinstance(saved, SCALARS):
            own[name] = saved
        elif isinstance(saved, Stream):
            if not isinstance(own.get(name), np.random.Generator):  # it was never reset
                own[name] = np.random.Generator(saved.kind())
            own[name].bit_generator.state = saved.state
        elif type(saved).__name__ == "MjData":
            _copy_mujoco(own[name], saved)
        else:
            own[name] = copy.deepcopy(saved)
    for name in own.keys() - values.keys():
        if not _is_fixed(name, own[name]):  # came into being after the state was saved
            del own[name]


def _copy_mujoco(into: Any, data: Any) -> Any:  # noqa: ANN401 - MuJoCo is not always installed
    """Copy a whole simulation state: `qpos` and `qvel` alone drift, for lack of the warm start."""
    mujoco = import_module("mujoco")
    into = mujoco.MjData(data.model) if into is None else into
    mujoco.mj_copyData(into, data.model, data)
    return into
