"""Where the time of a run went: a table of the parts of an update, and a trace of two updates."""

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.table import Table
from rich.text import Text

from grpo_cli.clock import OTHER, Nested
from grpo_cli.sinks.protocol import Metrics

if TYPE_CHECKING:
    from torch.profiler import profile

log = logging.getLogger(__name__)

# The first updates allocate, import and fill caches; none of that comes again.
WARM_UP = 3
# In the first tenth of a run episodes are often shorter than later, and two updates are enough to
# see: each leaves a few megabytes.
TRACE_FROM, TRACED = 0.1, 2
# The name that TensorBoard's plugin for torch's traces looks for; Chrome and Perfetto take any.
TRACE = "profile.pt.trace.json.gz"

Found = Mapping[str, Any]


class Shows(Protocol):
    """Who can show a text."""

    def text(self, tag: str, text: str) -> None:
        """Show it."""
        ...


def nested(device: str) -> Nested:
    """Make the clock of a profile; with a GPU it waits for it, or the wrong part would pay."""
    if not device.startswith("cuda"):
        return Nested()
    import torch

    return Nested(torch.cuda.synchronize)


class Profile:
    """Writes `profile.json`, `profile.txt` and the trace when it is closed.

    The table has every update but the first three and those of the trace, so that what is rare, an
    evaluation or a checkpoint, has its true share.

    Args:
        folder: where the files go.
        clock: told by the parts; see `grpo_cli.clock`.
        total_steps: of the run, env steps; the trace begins after a tenth.
        cuda: trace the GPU as well.
        shows: gets the table as text, or None.
    """

    def __init__(
        self,
        folder: Path,
        clock: Nested,
        *,
        total_steps: int,
        cuda: bool = False,
        shows: Shows | None = None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._trace_at = TRACE_FROM * total_steps
        self._cuda = cuda
        self._shows = shows
        self._seen = self._updates = self._steps = 0
        self._last = 0  # env steps when the clock last began to run
        self._tracer: profile | None = None
        self._traced = -1  # updates in the trace; -1: it has not begun

    def write(self, step: int, metrics: Metrics) -> None:
        """End an update: start the clock, or stop it for the trace."""
        del metrics
        if self._clock.runs:
            self._clock.run(False)
            self._updates += 1
            self._steps += step - self._last
        self._seen, self._last = self._seen + 1, step
        if self._seen < WARM_UP:
            return
        if self._traced < 0 and step >= self._trace_at:
            self._begin_trace()
        elif self._tracer is not None:
            self._traced += 1
            if self._traced == TRACED:
                self._end_trace()
        if self._tracer is None:
            self._clock.run(True)

    def _begin_trace(self) -> None:
        os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # its lines would tear the dashboard
        from torch.profiler import ProfilerActivity, profile, record_function

        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._cuda else [])]
        self._tracer, self._traced = profile(activities=activities), 0
        self._clock.around = record_function
        self._tracer.start()

    def _end_trace(self) -> None:
        if self._tracer is None:
            return
        self._tracer.stop()
        self._clock.around = None
        self._tracer.export_chrome_trace(str(self._folder / TRACE))
        self._tracer = None

    def close(self) -> None:
        """Write the files; the update that was not ended counts as well."""
        self._clock.run(False)
        if self._tracer is not None:
            self._end_trace()
        if not self._updates:
            log.warning("profile=true recorded nothing: the run has no update after its third")
            return
        found = {
            "updates": self._updates,
            "env_steps": self._steps,
            "seconds": sum(self._clock.seconds.values()),
            "parts": dict(self._clock.seconds),
            "trace": TRACE if self._traced > 0 else None,
        }
        text = as_text(found)
        try:
            (self._folder / "profile.json").write_text(json.dumps(found, indent=1) + "\n")
            (self._folder / "profile.txt").write_text(text)
        except OSError as error:
            log.warning("the profile cannot be written: %s", error.strerror or error)
        if self._shows is not None:
            self._shows.text("profile", text)


def table(found: Found) -> Table:
    """Draw the parts, the largest first; each adds up from those under it, all add up to the whole.

    Args:
        found: what `profile.json` holds.
    """
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    drawn.add_column("part of an update")
    for name in ("us / env step", "share", "ms / update"):
        drawn.add_column(name, justify="right")
    groups: dict[str, dict[str, float]] = {}
    for path, seconds in found["parts"].items():
        group, _, inner = path.partition("/")
        groups.setdefault(group, {})[inner] = seconds
    whole = groups.pop(OTHER, {"": 0.0})
    for group, parts in sorted(groups.items(), key=lambda item: -sum(item[1].values())):
        _row(drawn, Text(group, style="bold"), sum(parts.values()), found)
        for inner, seconds in sorted(parts.items(), key=lambda item: -item[1]):
            if len(parts) > 1:
                _row(drawn, Text(f"  {inner or 'the rest'}", style="dim"), seconds, found)
    _row(drawn, Text(OTHER, style="bold"), sum(whole.values()), found)
    _row(drawn, Text("all", style="bold"), found["seconds"], found)
    return drawn


def _row(drawn: Table, name: Text, seconds: float, found: Found) -> None:
    drawn.add_row(
        name,
        f"{1e6 * seconds / found['env_steps']:.2f}",
        f"{100 * seconds / found['seconds']:.1f} %",
        f"{1e3 * seconds / found['updates']:.2f}",
        style=name.style,
    )


def headline(found: Found) -> str:
    """Say in one line what was recorded."""
    return (
        f"{found['updates']:,} updates, {found['env_steps']:,} env steps, "
        f"{found['env_steps'] / found['seconds']:,.0f} env steps/s while recorded"
    )


def as_text(found: Found) -> str:
    """Return the table as plain text."""
    console = Console(width=100, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(headline(found), table(found), sep="\n")
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())
