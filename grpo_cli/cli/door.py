"""The only place that prints errors and chooses exit codes."""

import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from grpo_cli.errors import GrpoError, WorkerLost

INTERRUPTED, TERMINATED = 130, 143


def describe(error: Exception) -> dict[str, Any]:
    """Return `{what, fix, exit_code, traceback}` of an exception, JSON-ready."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, GrpoError):
        # An environment's own message may have many lines.
        what, fix = (" ".join(text.split()) for text in (error.what, error.fix))
        words = {"what": what, "fix": fix, "exit_code": error.exit_code}
        if isinstance(error, WorkerLost) and error.details:
            words["details"] = error.details
        return {**words, "traceback": trace}
    first = next(iter(str(error).strip().splitlines()), "")
    what = f"internal: {type(error).__name__}{': ' if first else ''}{first}"
    fix = "run again with --debug for the traceback, and report it"
    return {"what": what, "fix": fix, "exit_code": 1, "traceback": trace}


def say(error: dict[str, Any], debug: bool = False, job: str = "") -> None:
    """Print one line of what happened and one of what to do, on stderr."""
    if debug:
        sys.stderr.write(error["traceback"])
    sys.stderr.write(error.get("details", ""))
    stopped = error["exit_code"] in (INTERRUPTED, TERMINATED)
    sys.stderr.write(f"{'stopped' if stopped else 'error'}: {job}{error['what']}\n")
    if error["fix"]:
        sys.stderr.write(f"  {'next' if stopped else 'fix'}: {error['fix']}\n")


def leave(error: dict[str, Any], debug: bool = False, job: str = "") -> NoReturn:
    """Print an error and end the process with its exit code."""
    say(error, debug, job)
    raise typer.Exit(error["exit_code"])


@contextmanager
def door(debug: bool = False) -> Iterator[None]:
    """Turn every way out of a verb into one line and an exit code."""
    with _terminated():
        try:
            yield
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise  # whoever read our output, such as `head`, has read enough: Typer ends quietly
        except KeyboardInterrupt:
            sys.stderr.write("interrupted\n")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            leave(describe(error), debug)


@contextmanager
def _terminated() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that files are closed, and exit 143."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> NoReturn:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def warnings_to(warn: Callable[[str], None]) -> Iterator[None]:
    """Show Python warnings, and where an environment hangs, as one line each."""
    from grpo_cli.envs import watched  # loads Gymnasium: what words can get wrong is answered

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        warn(str(message).strip())

    with warnings.catch_warnings(), watched(warn):
        warnings.showwarning = show
        yield
