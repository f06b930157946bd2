"""Backend `async`: plain environments in worker processes, for environments that are slow to step.

Passing observations between processes costs more than a step of a fast environment; `sync` is
faster for those even on many cores.
"""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import CloudpickleWrapper
from numpy.typing import NDArray

from grpo_cli.envs.sync import Sync
from grpo_cli.errors import EnvError, GrpoError
from grpo_cli.rollout import Ints

# A forked worker shares torch's memory with its parent and starts at once; elsewhere than on
# Linux forking is unsafe.
START = "fork" if sys.platform == "linux" else "spawn"


class Workers:
    """Members dealt out to worker processes: member m lives in worker m % W.

    Args:
        make: makes one plain environment.
        num_members: how many live side by side.
        num_workers: processes, W; None: one for each core, at most one a member.
    """

    name = "async"

    def __init__(
        self, make: Callable[[], gym.Env], num_members: int, num_workers: int | None = None
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self._count = min(num_members, num_workers or cores or 1)
        context = multiprocessing.get_context(START)
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(self._count):
            ours, theirs = context.Pipe()
            share = len(range(number, num_members, self._count))
            process = context.Process(
                target=_work, args=(CloudpickleWrapper(make), share, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def reset(self, seeds: Ints) -> NDArray:
        """Reset the first M members with one seed each; observations [M, *O]."""
        members = np.arange(len(seeds))
        return self._ask("reset", members, seeds)[0]

    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Reset the named members alone, B of them; observations [B, *O]."""
        return self._ask("restart", ids, seeds)[0]

    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step the named members; see `Sync.step`."""
        obs, reward, terminated, truncated, infos = self._ask("step", ids, actions)
        return obs, reward, terminated, truncated, infos

    def close(self) -> None:
        """End the workers."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
            pipe.close()
        for process in self._processes:
            process.join(timeout=2)
            process.kill()
        self._pipes, self._processes = [], []

    def _ask(self, word: str, members: Ints, values: NDArray) -> list[Any]:
        """Send each worker its share, then put the answers back in the members' order."""
        shares = [np.flatnonzero(members % self._count == w) for w in range(self._count)]
        busy = [
            (pipe, share) for pipe, share in zip(self._pipes, shares, strict=True) if len(share)
        ]
        try:
            for pipe, share in busy:
                pipe.send((word, members[share] // self._count, values[share]))
            answers = [pipe.recv() for pipe, _ in busy]
        except (EOFError, OSError) as error:
            raise EnvError(
                "a worker process of the environment died",
                "look at its output, or use backend=sync",
            ) from error
        for answer in answers:
            if isinstance(answer, GrpoError):
                raise answer
        order = np.argsort(np.concatenate([share for _, share in busy]), kind="stable")
        return [_in_order(column, order) for column in zip(*answers, strict=True)]


def _in_order(parts: tuple[Any, ...], order: NDArray) -> Any:  # noqa: ANN401 - arrays or infos
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)[order]
    flat = [info for part in parts for info in part]
    return [flat[place] for place in order]


def _work(make: CloudpickleWrapper, count: int, pipe: Connection) -> None:
    """Serve one share of the members until the parent hangs up."""
    backend: Sync | None = None
    while True:
        try:
            message = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        if message is None:
            return
        word, members, values = message
        try:
            backend = backend or Sync(make, count)
            answer = getattr(backend, word)(*((values,) if word == "reset" else (members, values)))
            pipe.send(answer if word == "step" else (answer,))
        except GrpoError as error:
            pipe.send(type(error)(error.what, error.fix))
