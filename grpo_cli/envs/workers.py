"""Backend `async`: plain environments in worker processes, for environments that are slow to step.

Passing observations between processes costs more than a step of a fast environment; `sync` is
faster for those even on many cores.
"""

import contextlib
import faulthandler
import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import CloudpickleWrapper
from numpy.typing import NDArray

from grpo_cli.clock import part
from grpo_cli.envs.sync import Sync
from grpo_cli.errors import GrpoError, WorkerLost
from grpo_cli.rollout import Ints

# A forked worker shares torch's memory with its parent and starts at once; elsewhere than on
# Linux forking is unsafe.
START = "fork" if sys.platform == "linux" else "spawn"
TIMEOUT_S = 300.0
REPLAYS = 3  # of what lost workers were at; what kills them every time is no accident

Done = TypeVar("Done")


def persist(work: Callable[[], Done], what: str, warn: Callable[[str], None]) -> Done:
    """Do what needs workers, again where they were lost: it has to come out the same.

    Args:
        work: what is done.
        what: that in words.
        warn: says one line.

    Raises:
        WorkerLost: again and again.
    """
    for number in itertools.count(1):
        try:
            return work()
        except WorkerLost as lost:
            if number > REPLAYS:
                raise
            warn(f"{lost.what}; {what} again ({number} of {REPLAYS})")
    raise AssertionError("unreachable")


class Workers:
    """Members dealt out to worker processes: member m lives in worker m % W.

    Workers that die or hang are ended, all of them; the next reset starts new ones.

    Args:
        make: makes one plain environment.
        num_members: how many live side by side.
        num_workers: processes, W; None: one for each core, at most one a member.
        timeout_s: a worker that does not answer for so long hangs.
    """

    name = "async"

    def __init__(
        self,
        make: Callable[[], gym.Env],
        num_members: int,
        num_workers: int | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        self._count = min(num_members, num_workers or cores or 1)
        self._make = make
        self._num_members = num_members
        self._timeout_s = timeout_s
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []
        self._notes = tempfile.mkdtemp(prefix="grpo-workers-")
        self._tidy = weakref.finalize(self, shutil.rmtree, self._notes, ignore_errors=True)
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context(START)
        for number in range(self._count):
            ours, theirs = context.Pipe()
            self._pipes.append(ours)
            share = len(range(number, self._num_members, self._count))
            # A fork holds our ends too, and would never see them close when we die.
            inherited = self._pipes if START == "fork" else []
            process = context.Process(
                target=_work,
                args=(CloudpickleWrapper(self._make), share, theirs, inherited, self._note(number)),
                daemon=True,
            )
            process.start()
            theirs.close()
            self._processes.append(process)

    def _note(self, number: int) -> Path:
        """Where a worker writes its traceback when it crashes or is asked."""
        return Path(self._notes, str(number))

    @part("env reset")
    def reset(self, seeds: Ints) -> NDArray:
        """Reset the first M members with one seed each; observations [M, *O]."""
        if not self._processes:
            self._start()
        members = np.arange(len(seeds))
        return self._ask("reset", members, seeds)[0]

    @part("env reset")
    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Reset the named members alone, B of them; observations [B, *O]."""
        return self._ask("restart", ids, seeds)[0]

    @part("env step")
    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step the named members; see `Sync.step`."""
        obs, reward, terminated, truncated, infos = self._ask("step", ids, actions)
        return obs, reward, terminated, truncated, infos

    def close(self) -> None:
        """End the workers."""
        self._end(patience_s=2.0)
        self._tidy()

    def _end(self, patience_s: float) -> None:
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.send(None)
            pipe.close()
        deadline = time.monotonic() + patience_s
        for process in self._processes:
            process.join(timeout=max(0.0, deadline - time.monotonic()))
            process.kill()
            process.join()
        self._pipes, self._processes = [], []

    def _ask(self, word: str, members: Ints, values: NDArray) -> list[Any]:
        """Send each worker its share, then put the answers back in the members' order."""
        shares = [np.flatnonzero(members % self._count == w) for w in range(self._count)]
        busy = [(w, share) for w, share in enumerate(shares) if len(share)]
        for w, share in busy:
            with contextlib.suppress(OSError):  # a dead worker is noticed below
                self._pipes[w].send((word, members[share] // self._count, values[share]))
        deadline = time.monotonic() + self._timeout_s
        answers = [self._answer(w, deadline) for w, _ in busy]
        for answer in answers:
            if isinstance(answer, GrpoError):
                raise answer
        order = np.argsort(np.concatenate([share for _, share in busy]), kind="stable")
        return [_in_order(column, order) for column in zip(*answers, strict=True)]

    def _answer(self, worker: int, deadline: float) -> Any:  # noqa: ANN401 - columns, or an error
        """Wait for an answer.

        Raises:
            WorkerLost: the worker died or hangs.
        """
        pipe = self._pipes[worker]
        try:
            if pipe.poll(max(0.0, deadline - time.monotonic())):
                return pipe.recv()
            how = f"hangs: no answer for {self._timeout_s:g} s"
        except (EOFError, OSError):
            self._processes[worker].join(timeout=1)
            code = self._processes[worker].exitcode
            how = f"died: {f'killed by signal {-code}' if code and code < 0 else f'exit {code}'}"
        raise self._lost(worker, how)

    def _lost(self, worker: int, how: str) -> WorkerLost:
        """Ask where it hangs, then end all workers: what the others hold is of no more use."""
        process, note = self._processes[worker], self._note(worker)
        if process.is_alive():
            with contextlib.suppress(OSError):
                os.kill(process.pid, signal.SIGUSR1)
            patience = time.monotonic() + 2.0  # on a busy computer it takes a while to answer
            while time.monotonic() < patience and not (note.exists() and note.stat().st_size):
                time.sleep(0.02)
            time.sleep(0.1)
        where = note.read_text() if note.exists() else ""
        self._end(patience_s=0.0)
        return WorkerLost(
            f"a worker process of the environment {how}",
            "mend the environment; backend.timeout_s=N waits longer, backend=sync has no workers",
            where,
        )


def _in_order(parts: tuple[Any, ...], order: NDArray) -> Any:  # noqa: ANN401 - arrays or infos
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)[order]
    flat = [info for part in parts for info in part]
    return [flat[place] for place in order]


def _work(
    make: CloudpickleWrapper,
    count: int,
    pipe: Connection,
    inherited: Sequence[Connection],
    note: Path,
) -> None:
    """Serve one share of the members until the parent hangs up."""
    for theirs in inherited:
        theirs.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the parent decides
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    with note.open("w") as file:
        faulthandler.enable(file)
        faulthandler.register(signal.SIGUSR1, file)
        _serve(make, count, pipe)


def _serve(make: CloudpickleWrapper, count: int, pipe: Connection) -> None:
    backend: Sync | None = None
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        if message is None:
            return
        word, members, values = message
        try:
            backend = backend or Sync(make, count)
            answer = getattr(backend, word)(*((values,) if word == "reset" else (members, values)))
            answer = answer if word == "step" else (answer,)
        except GrpoError as error:
            answer = type(error)(error.what, error.fix)
            answer.add_note(traceback.format_exc())  # shown by --debug
        try:
            pipe.send(answer)
        except OSError:
            return
