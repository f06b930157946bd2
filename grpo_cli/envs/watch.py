"""Say where an environment hangs that runs in this process.

No thread can end what another does, so a person has to; what can be done is to say where it hangs.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from grpo_cli.envs.source import EnvSource
from grpo_cli.envs.sync import Sync

PATIENCE_S = 60.0
# Functions in whose frames an environment does one thing, a step, a reset or its making.
CALLS = (Sync._call.__code__, EnvSource.make.__code__)


@contextmanager
def watched(warn: Callable[[str], None], patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Warn of every call of an environment by this thread that does not return.

    Looking at the stack from outside, once in a while, costs the calls nothing.

    Args:
        warn: says one line, in another thread.
        patience_s: a call that has lasted longer is spoken of, at the latest after twice as long.
    """
    thread, over = threading.get_ident(), threading.Event()

    def look() -> None:
        before = told = None
        while not over.wait(patience_s):
            call, where = _call(sys._current_frames()[thread])
            if call is not None and call is before and call is not told:
                told = call
                warn(
                    f"the environment has not answered for {patience_s:g} s: {where} (Ctrl-C ends "
                    "it, if need be twice; with backend=async what hangs is started anew)"
                )
            before = call

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _call(frame: FrameType | None) -> tuple[FrameType | None, str]:
    """Find the frame in which an environment was called, and where in it the thread is now."""
    places: list[str] = []
    while frame is not None and frame.f_code not in CALLS:
        code = frame.f_code
        places.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return frame, " > ".join(reversed(places))
