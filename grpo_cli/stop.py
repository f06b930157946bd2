"""A request to end a run early: from a signal, or because its time is up.

The first request is noted; a rollout that is being sampled is dropped at once, everything else is
finished. A second request ends the process where it stands.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

# What a signal means to a person, and the exit code that shells give it.
HEARD = {
    signal.SIGINT: ("interrupted", 130),
    signal.SIGTERM: ("terminated", 143),
    signal.SIGUSR1: ("asked to stop by SIGUSR1", 143),
    signal.SIGALRM: ("max_time is over", 143),
}


class Dropped(BaseException):
    """The rollout being sampled is given up.

    No Exception: an environment that catches those must not swallow it.
    """


class Stop(ContextDecorator):
    """Hears requests to stop while it listens.

    What is done `with stop:`, or by `stop(work)()`, is dropped on a request.

    Args:
        say: says one line to the person who asks while there is something to finish first.
        file: another process, on another computer perhaps, writes the number of a signal here.

    Attributes:
        why: the request in words; empty: none so far.
        exit_code: of the process, once there is one.
    """

    def __init__(
        self, say: Callable[[str], None] = lambda _: None, file: Path | None = None
    ) -> None:
        self._say, self._file = say, file
        self.why = ""
        self.exit_code = 0
        self._deadline = float("inf")
        self._sampling = False

    @property
    def asked(self) -> bool:
        """Whether a request came in, or the time is up."""
        if not self.why and time.monotonic() >= self._deadline:
            self.why, self.exit_code = HEARD[signal.SIGALRM]
        if not self.why and self._file is not None and self._file.exists():
            self.why, self.exit_code = HEARD[signal.Signals(int(self._file.read_text()))]
        return bool(self.why)

    @contextmanager
    def listen(self, max_s: float | None = None) -> Iterator[None]:
        """Hear signals, and stop after so many seconds.

        In another thread than the main one signals cannot be heard; the time is still kept.
        """
        if max_s is not None:
            self._deadline = time.monotonic() + max_s
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._hear) for number in HEARD}
        signal.setitimer(signal.ITIMER_REAL, max_s or 0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def __enter__(self) -> None:
        """Raise Dropped on a request, until the block ends."""
        self._sampling = True
        if self.asked:
            self._drop()

    def __exit__(self, *_: object) -> None:
        """Only note requests again."""
        self._sampling = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.why:
            signal.signal(number, signal.SIG_DFL)  # a third one does not even unwind
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(HEARD[signal.Signals(number)][1])
        self.why, self.exit_code = HEARD[signal.Signals(number)]
        if self._sampling:
            self._drop()
        with suppress(RuntimeError):  # the signal came while something else was being written
            self._say("finishing this update and its evaluation; asked again, it stops at once")

    def _drop(self) -> NoReturn:
        self._sampling = False
        raise Dropped
