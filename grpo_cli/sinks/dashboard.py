"""The live picture of a training run on a terminal.

It is drawn when an update comes, at most four times a second and never for more than a hundredth of
the time; there is no thread. It fills the width, adapts its height, and is drawn anew when the
window changes size.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment

from grpo_cli.sinks import bars, chart
from grpo_cli.sinks.advice import advise
from grpo_cli.sinks.bars import LABEL
from grpo_cli.sinks.chart import Row
from grpo_cli.sinks.format import count, duration, number, percent
from grpo_cli.sinks.history import Facts, History
from grpo_cli.sinks.protocol import Metrics

REDRAW_EVERY_S = 0.25
# The next drawing waits a hundred times as long as the last one took: 1 % of the time at most.
REST = 100
MOST_CHART_ROWS, LEAST_CHART_ROWS = 40, 4
PANEL_WIDTH = 38

REWARD = "rollout/ep_rew_mean"
LOW, HIGH = "group/reward_min", "group/reward_max"
GREEDY, SAMPLED = "eval/greedy/mean_reward", "eval/sampled/mean_reward"
# (label, metric, how its number reads), in reading order.
PANELS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("dead groups", "group/frac_reward_zero_std", percent),
    ("group spread", "group/reward_std", number),
    ("KL", "train/approx_kl", number),
    ("entropy", "train/entropy", number),
    ("clipped low", "train/clip_ratio/low_mean", percent),
    ("clipped high", "train/clip_ratio/high_mean", percent),
    ("grad norm", "train/grad_norm", number),
    ("episode steps", "rollout/ep_len_mean", number),
)
CURVES = (REWARD, LOW, HIGH, GREEDY, SAMPLED, *(metric for _, metric, _ in PANELS))


class Dashboard:
    """A sink that draws.

    Args:
        facts: what is known about the run.
        console: where to draw; by default stderr.
        clock: seconds, only differences count.
        told: the same for the pace of the run, where it is not made here and now.
    """

    def __init__(
        self,
        facts: Facts,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[], float] | None = None,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._history = History(facts, CURVES, told or clock)
        self._next = 0.0
        self._size = self._console.size
        self._live: Live | None = self._start()
        self._redraw()

    @property
    def is_up(self) -> bool:
        """Whether the picture is on the screen."""
        return self._live is not None

    def write(self, step: int, metrics: Metrics) -> None:
        """Take in an update, and draw when it is time."""
        self._history.add(step, metrics)
        if self._live is not None and self._clock() >= self._next:
            self._redraw()

    def replay(self, updates: Iterable[tuple[int, Metrics]]) -> None:
        """Take in what was measured elsewhere, then draw once."""
        for step, metrics in updates:
            self._history.add(step, metrics)
        if self._live is not None:
            self._redraw()

    def remember(self, updates: Iterable[tuple[int, Metrics]]) -> None:
        """Take in what was measured before a run goes on."""
        self._history.remember(updates)

    def say(self, text: str, style: str) -> None:
        """Put a line above the picture."""
        self._console.print(text, style=style, markup=False, highlight=False)

    def close(self, how: str = "ended") -> None:
        """Draw once more and leave the picture standing."""
        self._history.ended = how
        if self._live is not None:
            self._redraw()
        self._take_down()

    def _take_down(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            with contextlib.suppress(OSError):
                live.stop()

    def _start(self) -> Live:
        live = Live(
            console=self._console,
            auto_refresh=False,
            # What an environment prints would tear the picture; on a pipe it must stay as it is.
            redirect_stdout=sys.stdout.isatty(),
            vertical_overflow="crop",
        )
        live.start()
        return live

    def _redraw(self) -> None:
        began = time.perf_counter()
        try:
            self._keep_up_with_the_window()
            if self._live is not None:
                width, height = self._console.size
                frame = _Frame(compose(self._history, width, height - 1))
                self._live.update(frame, refresh=True)
        except OSError:  # the terminal is gone; the training is not
            self._take_down()
        cost = time.perf_counter() - began
        self._next = self._clock() + max(REDRAW_EVERY_S, REST * cost)

    def _keep_up_with_the_window(self) -> None:
        """After a change of size the old lines are broken anywhere: clear, and begin again."""
        if self._live is None or self._console.size == self._size:
            return
        self._size = self._console.size
        self._live.stop()
        self._console.clear()
        self._live = self._start()


class _Frame:
    """Rows for Rich, without its layout: they have the right width already."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the rows as segments."""
        for row in self._rows:
            for text, style in row:
                yield Segment(text, console.get_style(style))
            yield Segment.line()


def compose(history: History, width: int, height: int) -> list[Row]:
    """The whole picture.

    Args:
        history: what to show.
        width: columns of the terminal.
        height: rows there are.

    Returns:
        At most `height` rows of at most `width` columns.
    """
    head = [_title(history.facts, width), _progress(history, width)]
    panels = list(_panels(history, width))
    foot = [bars.advantages(history, width), bars.time(history, width), _evaluation(history)]
    foot.append(_advice(history))
    chart_rows = height - len(head) - len(panels) - len(foot) - 5
    if chart_rows >= LEAST_CHART_ROWS:
        middle = [[], *_return(history, width, min(chart_rows, MOST_CHART_ROWS)), []]
        rows = [*head, *middle, *panels, [], *foot]
    else:
        rows = [*head, *foot, *panels]
    return chart.fit(rows[:height], width)


def _title(facts: Facts, width: int) -> Row:
    left = [
        (facts.env, "bold"),
        (f"  seed {facts.seed}  {facts.num_groups} groups × {facts.group_size} members", ""),
        (f"  {facts.backend}", "dim"),
    ]
    used = sum(len(text) for text, _ in left)
    room = width - used - 2
    # The end of a run's name tells it from its neighbours.
    run = facts.run if len(facts.run) <= room else "…" + facts.run[len(facts.run) - room + 1 :]
    if room < 12:
        return left
    return [*left, (f"{run:>{room + 2}}", "dim")]


def _progress(history: History, width: int) -> Row:
    facts = history.facts
    left = history.left_s
    text = f"  {count(history.step)} / {count(facts.total_steps)} steps"
    text += f"  {percent(history.progress):>5}"
    if history.pace:
        text += f"  {count(history.pace)}/s"
    if history.ended:
        text += f"  {history.ended}"
    elif left is not None and left >= 0.5:
        text += f"  {duration(left)} left"
    bar = max(0, width - len(text))
    done = round(bar * history.progress)
    return [("━" * done, "cyan"), ("─" * (bar - done), "dim"), (text, "")]


def _return(history: History, width: int, height: int) -> Iterator[Row]:
    facts, curves = history.facts, history.curves
    goal = "" if facts.stop_at is None else f"  ┄ stop at {facts.stop_at:g}"
    title: Row = [
        ("return ", "bold"),
        (number(history.now(REWARD)), "bold cyan"),
        ("   ░ worst to best of a group", "dim"),
        ("  ● greedy", "dim"),
        (goal, "dim"),
    ]
    yield title if history.updates else [("waiting for the first update", "dim")]
    picture = chart.Picture(
        curves[REWARD], curves[LOW], curves[HIGH], curves[GREEDY], facts.stop_at
    )
    yield from chart.draw(picture, width, height)


def _panels(history: History, width: int) -> Iterator[Row]:
    across = max(1, (width + 2) // (PANEL_WIDTH + 2))
    each = (width + 2) // across - 2
    for start in range(0, len(PANELS), across):
        row: Row = []
        for label, metric, reads in PANELS[start : start + across]:
            value = reads(history.now(metric))
            line = chart.sparkline(history.curves[metric], max(0, each - LABEL - 10))
            row += [
                (f"{label:<{LABEL + 1}}", "dim"),
                (f"{value:>8} ", ""),
                (line, "cyan"),
                ("  ", ""),
            ]
        yield row[:-1]


def _evaluation(history: History) -> Row:
    goal, seen = history.facts.stop_at, history.evaluation
    row: Row = [("evaluation".ljust(LABEL), "dim")]
    if history.evaluated_at is None:
        return [*row, ("none yet", "dim")]
    for mode in ("greedy", "sampled"):
        mean = seen.get(f"{mode}/mean_reward")
        if mean is None:
            continue
        reached = goal is not None and mean >= goal
        row.append((f"{mode} ", ""))
        row.append(
            (f"{number(mean)}{' ✓' if reached else ''}", "bold green" if reached else "bold")
        )
        row.append((f" ± {number(seen.get(f'{mode}/std_reward'))}  ", "dim"))
    row.append(("" if goal is None else f"stop at {goal:g}, ", "dim"))
    return [*row, (f"at {count(history.evaluated_at)}", "dim")]


def _advice(history: History) -> Row:
    advice = advise(history)
    return [(f"▲ {advice[1]}", "yellow")] if advice else []
