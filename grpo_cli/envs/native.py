"""Backend `native`: CartPole's equations for all members in one NumPy step.

Gymnasium's vector CartPole also checks actions, resets by itself and steps the finished, which
takes as long as the equations do; a test holds the two together bit for bit. Starts come from the
plain environment's reset, one seed at a time, so a member starts exactly where it would on `sync`.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.envs.batched import TRANSPARENT
from grpo_cli.rollout import Floats, Ints

PHYSICS = (
    "_sutton_barto_reward", "gravity", "masscart", "masspole", "total_mass", "length",
    "polemass_length", "force_mag", "tau", "kinematics_integrator", "theta_threshold_radians",
    "x_threshold",
)  # fmt: skip


class NativeCartPole:
    """CartPole behind the backend contract.

    Args:
        make: makes one plain CartPole, an unchanged one.
        num_members: how many live side by side.
        max_steps: time limit in steps.
    """

    name = "native"
    replay_steps = 0
    slots = None  # as many as there are: a step costs hardly more for a thousand

    def __init__(self, make: Callable[[], gym.Env], num_members: int, max_steps: int) -> None:
        self._plain = make()
        core = self._plain.unwrapped
        if not isinstance(core, CartPoleEnv):
            raise TypeError(f"not a CartPole: {core}")
        self._core = core
        self._force = np.array([-core.force_mag, core.force_mag])
        self._max_steps = max_steps
        self._state = np.zeros((4, num_members))  # cart, its speed, pole, its speed
        self._alive = np.arange(num_members)
        self._elapsed = np.zeros(num_members, dtype=np.int64)

    @staticmethod
    def fits(env: gym.Env) -> bool:
        """Say whether the plain environment is an unchanged CartPole."""
        while type(env) in TRANSPARENT:  # the time limit is counted apart
            env = env.env  # type: ignore[attr-defined]
        if type(env) is not CartPoleEnv:
            return False
        usual = vars(CartPoleEnv())
        return all(vars(env).get(name) == usual[name] for name in PHYSICS)

    @part("env reset")
    def reset(self, seeds: Ints) -> NDArray:
        """Set M members to the starts of their seeds; observations [M, 4]."""
        drawn, place = np.unique(seeds, return_inverse=True)
        self._state = np.stack([self._start(int(seed)) for seed in drawn], axis=1)[:, place]
        self._alive = np.arange(len(seeds))
        self._elapsed = np.zeros(len(seeds), dtype=np.int64)
        return self._state.T.astype(np.float32)

    @part("env step")
    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step the named members, a subset of those of the last call; see `Sync.step`."""
        if len(ids) != len(self._alive):
            keep = np.isin(self._alive, ids, assume_unique=True)
            self._state, self._elapsed = self._state[:, keep], self._elapsed[keep]
            self._alive = ids
        self._move(self._force[actions])
        self._elapsed += 1
        cart, _, pole, _ = np.abs(self._state)
        core = self._core
        terminated = (cart > core.x_threshold) | (pole > core.theta_threshold_radians)
        truncated = self._elapsed >= self._max_steps
        return self._state.T.astype(np.float32), np.ones(len(ids)), terminated, truncated, []

    def _move(self, force: Floats) -> None:
        """Go on by one of Euler's steps, `CartPoleEnv.step`'s operations in their order."""
        core = self._core
        _, _, pole, speed = self._state
        cos, sin = np.cos(pole), np.sin(pole)
        temp = (force + core.polemass_length * np.square(speed) * sin) / core.total_mass
        turn = (core.gravity * sin - cos * temp) / (
            core.length * (4.0 / 3.0 - core.masspole * np.square(cos) / core.total_mass)
        )
        push = temp - core.polemass_length * turn * cos / core.total_mass
        change = np.empty_like(self._state)
        change[::2] = self._state[1::2]
        change[1], change[3] = push, turn
        change *= core.tau
        self._state = self._state + change

    @part("save and restore")
    def save(self, ids: Ints) -> NDArray:
        """Return states of the named members, [B, 5]: CartPole's four numbers, steps so far."""
        column = np.searchsorted(self._alive, ids)
        return np.column_stack([self._state[:, column].T, self._elapsed[column]])

    @part("save and restore")
    def restore(self, ids: Ints, states: NDArray) -> None:
        """Hold these states, and no others, under ascending ids."""
        self._state = np.ascontiguousarray(states[:, :4].T)
        self._alive, self._elapsed = ids, states[:, 4].astype(np.int64)

    def close(self) -> None:
        """Close the plain environment."""
        self._plain.close()

    def _start(self, seed: int) -> Floats:
        """Return the state [4] in which the plain environment starts with this seed."""
        self._plain.reset(seed=seed)
        return np.array(self._core.state, dtype=np.float64)
