"""Simulators: backends that can go back to a state, proved at start by going back and comparing."""

from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs.backends import Backend, is_native
from grpo_cli.envs.native import NativeCartPole
from grpo_cli.envs.snapshots import METHODS, Unsaved
from grpo_cli.envs.source import EnvSource
from grpo_cli.envs.spaces import drawn
from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Ints

# Environments in a proof are cut after BEFORE + AFTER steps, so that it covers the time limit.
BEFORE, AFTER = 12, 24
PROOFS = 3  # pairs of episodes, in the same two environments: what an episode leaves shows
BOTH = np.arange(2)
SLOTS = 64  # environments side by side: the policy is asked in batches, memory stays small


class Simulator(Backend, Protocol):
    """A backend whose members can be saved and restored."""

    replay_steps: int  # steps computed again in order to restore, since the simulator was made

    @property
    def slots(self) -> int | None:
        """How many members can live side by side; None: all that are restored."""
        ...

    def save(self, ids: Ints) -> NDArray:
        """Return the states of the named members, [B, ...], untouched by later steps."""
        ...

    def restore(self, ids: Ints, states: NDArray) -> None:
        """Give the named members, ascending, these states; they may have been others'."""
        ...


def make_simulator(source: EnvSource, num_members: int) -> tuple[Simulator, str]:
    """Make the cheapest simulator that proves to be exact for this environment.

    Args:
        source: the environment.
        num_members: how many could live side by side; see `SLOTS`.

    Returns:
        The simulator, and how it was proved.

    Raises:
        ConfigError: no way of going back to a state is exact.
    """
    width = max(2, num_members)
    if is_native(source):
        prove(NativeCartPole(_short(source).make, 2, BEFORE + AFTER), source)
        return NativeCartPole(source.make, width, source.max_steps), "states are plain numbers"
    failures = []
    for method in METHODS:
        trial = method(_short(source).make, 2)
        try:
            prove(trial, source)
        except Exception as error:  # a copy that was never reset raises what it likes
            said = str(error).strip().splitlines() or [type(error).__name__]
            failures.append(f"{method.name}: {said[0]}")
            continue
        finally:
            trial.close()
        why = f"states are saved by {method.name}, proved by going back"
        return method(source.make, min(width, SLOTS)), why
    raise ConfigError(
        f"{source.id} cannot go back to a state exactly ({'; '.join(failures)})",
        "use group=episodes, which only needs starts; a seeded env of deterministic steps can",
    )


def prove(simulator: Simulator, source: EnvSource) -> None:
    """Play two members on from a saved state, then again from it, in each other's place and in own.

    Args:
        simulator: two members of the environment, cut after BEFORE + AFTER steps.
        source: the environment; only its action space is used.

    Raises:
        Unsaved: an observation, reward or flag was another.
        EnvError: the environment raised.
    """
    space = source.action_space
    space.seed(0)
    for proof in range(PROOFS):
        actions = [drawn(space, 2) for _ in range(BEFORE + AFTER)]
        simulator.reset(np.array([proof, PROOFS + proof]))
        told, saved = _play(simulator, actions)
        start = min(BEFORE, len(saved) - 1)
        for turn in ([1, 0], [0, 1]):
            simulator.restore(BOTH, saved[start][turn])
            again, _ = _play(simulator, [action[turn] for action in actions[start:]])
            for member, other in enumerate(turn):
                if again[member] != told[other][start:]:
                    raise Unsaved("what followed on a restored state was not what had followed")


def _play(simulator: Simulator, actions: list[NDArray]) -> tuple[list[list[bytes]], list[NDArray]]:
    """Step both members to their ends; returns what each was told, and states while both lived."""
    told: list[list[bytes]] = [[], []]
    saved = []
    alive = BOTH
    for action in actions:
        if len(alive) == len(BOTH):
            saved.append(simulator.save(BOTH))
        said = simulator.step(alive, action[alive])[:4]
        for place, member in enumerate(alive.tolist()):
            told[member].append(b"".join(np.asarray(column[place]).tobytes() for column in said))
        alive = alive[~(said[2] | said[3])]
        if not len(alive):
            break
    return told, saved


def _short(source: EnvSource) -> EnvSource:
    return replace(source, max_steps=min(source.max_steps, BEFORE + AFTER))
