"""Backend `native`: Gymnasium's own vector CartPole, all members in one NumPy step.

Starts come from the plain environment's reset, one seed at a time, so a member starts exactly
where it would on `sync`. The vector environment would reset by itself and step the finished too;
here its state is narrowed to the members that still live, so nothing idle is computed.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv, CartPoleVectorEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.rollout import Ints

# Wrappers that change nothing here: the time limit is counted apart.
TRANSPARENT = (TimeLimit, OrderEnforcing, PassiveEnvChecker)
PHYSICS = (
    "_sutton_barto_reward", "gravity", "masscart", "masspole", "total_mass", "length",
    "polemass_length", "force_mag", "tau", "kinematics_integrator", "theta_threshold_radians",
    "x_threshold",
)  # fmt: skip


class NativeCartPole:
    """`CartPoleVectorEnv` behind the backend contract.

    Args:
        make: makes one plain CartPole.
        num_members: how many live side by side.
        max_steps: time limit in steps.
    """

    name = "native"
    replay_steps = 0
    slots = None  # as many as there are: a step costs hardly more for a thousand

    def __init__(self, make: Callable[[], gym.Env], num_members: int, max_steps: int) -> None:
        self._plain = make()
        # Its own counter never ends a member: the time limit is counted here.
        self._vector = CartPoleVectorEnv(num_members, max_episode_steps=2**31 - 1)
        self._max_steps = max_steps
        self._alive = np.arange(num_members)
        self._elapsed = np.zeros(num_members, dtype=np.int64)

    @staticmethod
    def fits(env: gym.Env) -> bool:
        """Say whether the plain environment is an unchanged CartPole."""
        while type(env) in TRANSPARENT:
            env = env.env  # type: ignore[attr-defined]
        if type(env) is not CartPoleEnv:
            return False
        usual = vars(CartPoleEnv())
        return all(vars(env).get(name) == usual[name] for name in PHYSICS)

    @part("env reset")
    def reset(self, seeds: Ints) -> NDArray:
        """Set M members to the starts of their seeds; observations [M, 4]."""
        drawn, place = np.unique(seeds, return_inverse=True)
        starts = np.stack([self._start(int(seed)) for seed in drawn], axis=1)
        self._set(starts[:, place])
        self._alive = np.arange(len(seeds))
        self._elapsed = np.zeros(len(seeds), dtype=np.int64)
        return starts[:, place].T.astype(np.float32)

    @part("env step")
    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step the named members, a subset of those of the last call; see `Sync.step`."""
        if len(ids) != len(self._alive):
            keep = np.isin(self._alive, ids, assume_unique=True)
            self._set(self._state[:, keep])
            self._alive, self._elapsed = ids, self._elapsed[keep]
        self._vector.prev_done[:] = False
        obs, reward, terminated, _, _ = self._vector.step(actions)
        self._elapsed += 1
        truncated = self._elapsed >= self._max_steps
        return obs, reward.astype(np.float64), terminated, truncated, []

    @part("save and restore")
    def save(self, ids: Ints) -> NDArray:
        """Return states of the named members, [B, 5]: CartPole's four numbers, steps so far."""
        column = np.searchsorted(self._alive, ids)
        return np.column_stack([self._state[:, column].T, self._elapsed[column]])

    @part("save and restore")
    def restore(self, ids: Ints, states: NDArray) -> None:
        """Hold these states, and no others, under ascending ids."""
        self._set(np.ascontiguousarray(states[:, :4].T))
        self._alive, self._elapsed = ids, states[:, 4].astype(np.int64)

    def close(self) -> None:
        """Close both environments."""
        self._plain.close()
        self._vector.close()

    @property
    def _state(self) -> NDArray:
        state = self._vector.state
        if state is None:
            raise RuntimeError("step before reset")
        return state

    def _start(self, seed: int) -> NDArray[np.float64]:
        """Return the state [4] in which the plain environment starts with this seed."""
        self._plain.reset(seed=seed)
        core = self._plain.unwrapped
        if not isinstance(core, CartPoleEnv):
            raise TypeError(f"not a CartPole: {core}")
        return np.array(core.state, dtype=np.float64)

    def _set(self, state: NDArray) -> None:
        """Make the vector environment hold exactly these members, [4, M]."""
        width = state.shape[1]
        vector = self._vector
        vector.num_envs = width
        vector.action_space = gym.vector.utils.batch_space(vector.single_action_space, width)
        vector.state = state
        vector.steps = np.zeros(width, dtype=np.int32)
        vector.prev_done = np.zeros(width, dtype=np.bool_)
