"""Sums over the processes of one computer, through memory that they share.

Through sockets a small sum takes longer than the gradient step that it belongs to (docs/adr/0015).
Here each rank writes its part where all can read it, says so, and reduces what all have written, in
the order of the ranks: every rank gets the same bits.
"""

import contextlib
import mmap
import os
import platform
import tempfile
import time

import numpy as np
from numpy.typing import NDArray

MEMORY = "/dev/shm"  # noqa: S108 - a file system in memory, of this computer alone
# Elsewhere a counter may be seen to rise before what it announces.
ORDERED = frozenset({"x86_64", "AMD64"})
PART = 1 << 18  # bytes of a rank that are reduced at once
LINE = 64  # bytes between counters, so that ranks do not write to the same cache line
AWAKE = 0.002  # seconds; a core that goes to sleep for less takes longer to wake up
NAP = 0.0001
LOOK = 0.1  # seconds between looks whether a rank that is waited for still lives


def offer(size: int) -> str | None:
    """Make a file that so many ranks can share; returns its path, None where there can be none."""
    if platform.machine() not in ORDERED or not os.path.isdir(MEMORY):
        return None
    try:
        handle, path = tempfile.mkstemp(prefix="grpo-", dir=MEMORY)
    except OSError:
        return None
    try:
        # Claimed at once: memory that turns out to be missing later would end the process.
        os.posix_fallocate(handle, 0, _bytes(size))
    except OSError:
        os.unlink(path)
        return None
    finally:
        os.close(handle)
    return path


def _bytes(size: int) -> int:
    return LINE * size + 2 * size * PART


class Board:
    """What the ranks of one computer write to each other.

    There are two pages. Who writes on the one again has seen all ranks write on the other, and they
    did that after they had read the one.

    Args:
        path: from `offer`, of any rank; may be removed once all ranks have opened it.
        rank: of this process.
        size: how many there are.
        timeout: seconds after which a rank that does not answer hangs.

    Raises:
        OSError: there is no such file, as on another computer.
    """

    def __init__(self, path: str, rank: int, size: int, timeout: float) -> None:
        import fcntl  # not on every system, nor is what `offer` needs

        self.rank = rank
        self.timeout = timeout
        self._others = [other for other in range(size) if other != rank]
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        # Held while this process lives, and not by what it forks.
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, rank)
        memory = mmap.mmap(self._file, _bytes(size))
        self._counters = memoryview(memory)[: LINE * size].cast("q")
        self._pages = np.frombuffer(memory, np.uint8, offset=LINE * size).reshape(2, size, PART)
        self._count = 0

    def reduce(self, values: NDArray, how: np.ufunc) -> None:
        """Reduce arrays [K] of the same type and length on every rank, in place.

        Raises:
            RuntimeError: a rank has ended, or hangs.
        """
        step = PART // values.itemsize
        for first in range(0, len(values), step):
            self._reduce(values[first : first + step], how)

    def _reduce(self, values: NDArray, how: np.ufunc) -> None:
        self._count += 1
        page = self._pages[self._count & 1, :, : values.nbytes].view(values.dtype)
        page[self.rank] = values
        self._counters[self.rank * LINE // 8] = self._count
        for other in self._others:
            self._await(other)
        how.reduce(page, axis=0, out=values)

    def _await(self, other: int) -> None:
        """Wait until another rank has written as often as this one."""
        place = other * LINE // 8
        if self._counters[place] >= self._count:
            return
        began = looked = time.perf_counter()
        while self._counters[place] < self._count:
            now = time.perf_counter()
            if now - began < AWAKE:
                os.sched_yield()
                continue
            time.sleep(NAP)
            if now - looked < LOOK:
                continue
            looked = now
            # It may have written, and ended, since it was looked at.
            if not self._lives(other) and self._counters[place] < self._count:
                raise RuntimeError(f"rank {other} has ended")
            if now - began > self.timeout:
                raise RuntimeError(f"rank {other} has not answered for {self.timeout:.0f} s")

    def _lives(self, other: int) -> bool:
        import fcntl

        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, other)
        except OSError:
            return True
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, other)
        return False

    def close(self) -> None:
        """Let go of the file: to the others this rank has ended."""
        os.close(self._file)


def opened(path: str | None, rank: int, size: int, timeout: float) -> Board | None:
    """Return the board, None where the path is None or of another computer."""
    with contextlib.suppress(OSError):
        return Board(path, rank, size, timeout) if path else None
    return None
