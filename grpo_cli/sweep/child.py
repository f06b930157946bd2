"""A process that trains: jobs go in and events come out, a line of JSON each.

The other end is `grpo_cli.cli.trial`, which dies with us, whatever kills us.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

Event = dict[str, Any]

DYING_S = 5.0
"""How long a process that has fallen silent may take to end."""
PROGRAM = "grpo_cli.cli.trial"
OVER = ("done", "error")
"""The events that end a job."""


class Process(Protocol):
    """A process that trains, here or elsewhere.

    Attributes:
        events: file descriptor that becomes readable when it has something to say.
        lost: it ended for a reason that is not its own: its computer did.
    """

    events: int
    lost: bool

    def send(self, job: Event) -> None:
        """Give it a job."""
        ...

    def heard(self) -> Iterator[Event]:
        """Yield the events that have come in."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing more will be heard of it."""
        ...

    def stop(self) -> None:
        """Ask it to save and end its job."""
        ...

    def kill(self) -> str:
        """End it for good, and say how it ended."""
        ...


class Child:
    """A process that trains on this computer.

    Args:
        log: file for what it prints until its first job.
    """

    lost = False

    def __init__(self, log: Path) -> None:
        self.events, theirs = os.pipe()
        theirs_in, ours = os.pipe()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", PROGRAM, str(theirs), str(os.getpid())],
                stdin=theirs_in, stdout=output, stderr=output, pass_fds=(theirs,),
                start_new_session=True,  # Ctrl-C in a terminal is ours to hear
            )  # fmt: skip
        os.close(theirs)
        os.close(theirs_in)
        self._jobs = os.fdopen(ours, "wb")
        os.set_blocking(self.events, False)
        self._rest = b""
        self._ended = self._closed = False

    def send(self, job: Event) -> None:
        """Give it a job; one that has died meanwhile is found dead when its events end."""
        with suppress(BrokenPipeError):
            self._jobs.write(json.dumps(job).encode() + b"\n")
            self._jobs.flush()

    def heard(self) -> Iterator[Event]:
        """Yield the events that have come in."""
        while not self._closed and not self._ended:
            try:
                chunk = os.read(self.events, 65536)
            except BlockingIOError:
                return
            self._ended = not chunk
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            yield from (json.loads(line) for line in lines)

    @property
    def ended(self) -> bool:
        """Whether nothing more will be heard of it."""
        return self._ended

    def stop(self) -> None:
        """Ask it to save and end its job."""
        if self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> str:
        """End it for good, and say how it ended: `exit code 3`, `killed by SIGKILL`."""
        until = time.monotonic() + (DYING_S if self._ended else 0.0)
        with suppress(BrokenPipeError):
            self._jobs.close()
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if self._process.poll() is None:
            self._process.kill()
        code = self._process.wait()
        if not self._closed:
            os.close(self.events)
            self._closed = self._ended = True
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return f"exit code {code}"


class Early:
    """Starts processes on this computer; the first ones import torch before they are needed.

    Args:
        count: how many are started at once.
        log: file for what these print until their first job.
    """

    def __init__(self, count: int, log: Path) -> None:
        self._waiting = [Child(log) for _ in range(count)]

    def __call__(self, log: Path) -> Child:
        """Return a process; see `Child`."""
        return self._waiting.pop() if self._waiting else Child(log)

    def close(self) -> None:
        """End those that nobody needed."""
        for child in self._waiting:
            child.kill()
