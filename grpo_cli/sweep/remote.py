"""Processes of a sweep's trials on the computers of a Ray cluster.

On each of them `Child` is the process that it is here; what it says is passed on, so that the loop
of a sweep need not know where a trial runs.
"""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from select import select
from typing import Any

from grpo_cli.sweep.child import OVER, Child, Event

GONE = "gone"


class Place:
    """What Ray runs, as an actor: the process of a trial on its computer.

    Args:
        folder: where the command was typed; all computers see it.
        log: file for what the process prints until its first job.
    """

    def __init__(self, folder: str, log: str) -> None:
        os.chdir(folder)
        # Here and not in `work`: the process dies with the thread that began it.
        self._child = Child(Path(log))

    def work(self, job: Event) -> Iterator[Event]:
        """Do a job; yields what the process says, and how it ended if it did."""
        child = self._child
        child.send(job)
        while not child.ended:
            select([child.events], [], [])
            for event in child.heard():
                yield event
                if event["event"] in OVER:
                    return
        yield {"event": GONE, "how": child.kill()}

    def stop(self) -> None:
        """Ask the process to save and end its job."""
        self._child.stop()


class RemoteChild:
    """A process that trains on some computer of a cluster.

    Args:
        ray: the module, connected to a cluster.
        needs: what a process takes of a computer: `num_cpus`, `num_gpus`.
        log: file for what it prints until its first job.
    """

    def __init__(self, ray: Any, needs: Mapping[str, float], log: Path) -> None:  # noqa: ANN401
        self._bell, self._ring = socket.socketpair()
        self._bell.setblocking(False)
        self.events, self.lost, self.ended = self._bell.fileno(), False, False
        self._said: SimpleQueue[Event | None] = SimpleQueue()
        self._ray, self._how = ray, "its computer was lost"
        make = ray.remote(Place).options(max_concurrency=2, **needs)
        self._actor = make.remote(str(Path.cwd()), str(log.absolute()))

    def send(self, job: Event) -> None:
        """Give it a job; it begins as soon as a computer has room."""
        said = self._actor.work.options(num_returns="streaming").remote(job)
        threading.Thread(target=self._pass_on, args=(said,), daemon=True).start()

    def heard(self) -> Iterator[Event]:
        """Yield the events that have come in."""
        with suppress(OSError):
            self._bell.recv(4096)
        while not self.ended and not self._said.empty():
            event = self._said.get()
            if event is None:
                self.ended = True
            else:
                yield event

    def stop(self) -> None:
        """Ask it to save and end its job."""
        self._actor.stop.remote()

    def kill(self) -> str:
        """End it for good, and say how it ended."""
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._actor)
        self._bell.close()
        self._ring.close()
        self.ended = True
        return self._how

    def _pass_on(self, said: Any) -> None:  # noqa: ANN401 - Ray's generator
        """Hand on what it says until its job is over, from a thread of its own."""
        errors = self._ray.exceptions
        over = False
        try:
            for reference in said:
                event = self._ray.get(reference)
                over = event["event"] in OVER
                if event["event"] == GONE:
                    self._how = event["how"]
                    return self._tell(None)
                self._tell(event)
        except errors.RayTaskError as error:
            self._how, over = str(error).strip().splitlines()[-1], True
            self._tell(None)
        except errors.RayError:
            over = False
        if not over:
            self.lost = True
            self._tell(None)

    def _tell(self, event: Event | None) -> None:
        self._said.put(event)
        with suppress(OSError):  # nobody listens any more
            self._ring.send(b"!")
