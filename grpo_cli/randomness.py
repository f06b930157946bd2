"""Random numbers by address: seed, purpose, update and group say which numbers are drawn.

Nothing here is a stream that must be carried along: the same address gives the same numbers in a
resumed run, in another process and on another day. No global generator is used anywhere.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Purpose(IntEnum):
    """What numbers are for; part of their address."""

    START = 0
    ACTION = 1
    SHUFFLE = 2
    INIT = 3
    EVAL = 4
    BOOTSTRAP = 5
    SELECT = 6
    LOOKAHEAD = 7


class Use(IntEnum):
    """Who resets an environment: the lowest two bits of every reset seed.

    Training, the checks that may stop a run, and final scores therefore never share a start.
    """

    TRAIN = 0
    CHECK = 1
    FINAL = 2


def rng(seed: int, purpose: Purpose, update: int = 0, group: int = 0) -> np.random.Generator:
    """Return the generator at an address.

    Args:
        seed: the run's seed, >= 0.
        purpose: what the numbers are for.
        update: number of the policy update, from 0.
        group: global index of the group within the update, from 0.
    """
    address = np.random.SeedSequence(seed, spawn_key=(int(purpose), update, group))
    return np.random.Generator(np.random.Philox(address))


def reset_seeds(generator: np.random.Generator, count: int, use: Use) -> NDArray[np.int64]:
    """Draw `count` environment seeds, [count], below 2**31, marked with their use."""
    drawn = generator.integers(2**29, size=count, dtype=np.int64)
    return drawn * 4 + int(use)


class ActionNoise:
    """Uniform noise for actions: one row of numbers for each member at each of its steps.

    It is drawn in blocks of steps for all members of a group, whether or not they still live, so
    what a member gets depends neither on when its peers end nor on when it starts itself.

    Args:
        generators: one per group.
        group_size: members per group.
        width: numbers that an action needs, W.
        shared: all members of a group get the same noise (common random numbers).
        hold: steps for which a member keeps its numbers before it gets the next.
    """

    block = 64  # steps

    def __init__(
        self,
        generators: list[np.random.Generator],
        group_size: int,
        width: int,
        shared: bool = False,
        hold: int = 1,
    ) -> None:
        self._hold = hold
        self._generators = generators
        self._shape = (self.block, 1 if shared else group_size, width)
        self._group_size = group_size
        self.members = len(generators) * group_size
        self._drawn = np.empty((self.block, self.members, width))
        self._count = 0  # steps that are drawn

    def at(self, step: NDArray[np.int64], member: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return noise in [0, 1) for members [B] at their own steps [B]: [B, W]."""
        place = step // self._hold
        while place.max() >= self._count:
            self._draw()
        return self._drawn[place, member]

    def _draw(self) -> None:
        groups = [generator.random(self._shape) for generator in self._generators]
        if self._shape[1] != self._group_size:
            groups = [np.repeat(block, self._group_size, axis=1) for block in groups]
        first, self._count = self._count, self._count + self.block
        if self._count > len(self._drawn):
            # Doubled: with room for one block more each, long windows would copy without end.
            self._drawn = np.concatenate([self._drawn, np.empty_like(self._drawn)])
        self._drawn[first : self._count] = np.concatenate(groups, axis=1)
