"""What a person sees of a sweep: a live table on a terminal, lines elsewhere; a table at the end.

While it works everything goes to stderr; the closing table is for stdout.
"""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from grpo_cli.cli.screen import columns, show
from grpo_cli.sinks.stderr import say
from grpo_cli.sweep.attempt import Attempt
from grpo_cli.sweep.claims import COMPLETE, FRESH, TRIAL, WAITING, Row
from grpo_cli.sweep.loop import ranked
from grpo_cli.sweep.plan import Plan

COLOURS = {"complete": "green", "pruned": "dim", "failed": "red", "running": "cyan", WAITING: ""}
# The best of a long sweep; the others are in trials.csv.
MOST_ROWS = 20
REDRAW_S = 0.25


class Screen(AbstractContextManager["Screen"], Protocol):
    """Shows a sweep while it lasts."""

    def rows(self, rows: list[Row], importances: dict[str, float]) -> None:
        """Take the claims."""

    def running(self, attempts: list[Attempt]) -> None:
        """Take what runs."""

    def notice(self, text: str) -> None:
        """Say a line."""

    def __exit__(self, *error: object) -> None:
        """Give back the screen."""


class Silent(Screen):
    """Shows nothing."""


def picture(plan: Plan) -> Screen:
    """Return what suits stderr."""
    plain = not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb"
    return Lines(plan) if plain else Picture(plan)


class Lines(Screen):
    """A line for every trial that ends.

    Args:
        plan: of the sweep.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._said: set[tuple[str, int, int]] | None = None
        say(f"{plan.name}: {_size(plan)}, {plan.workers} at a time, in {plan.folder}")

    def rows(self, rows: list[Row], importances: dict[str, float]) -> None:
        """Say what has ended since; what had before this command is counted only."""
        over = [row for row in rows if row.over]
        if self._said is None:
            self._said = {_key(row) for row in over}
            if over:
                trials = sum(row.kind == TRIAL for row in over)
                say(f"going on: {trials} trials are over")
            return
        for row in over:
            if _key(row) in self._said:
                continue
            self._said.add(_key(row))
            best = ranked(self._plan, rows)
            star = "  best so far" if best and best[0] is row else ""
            part = f"fresh seed {row.part} of trial" if row.kind == FRESH else "trial"
            say(f"{part} {row.number}: {_told(self._plan, row)}{star}")

    def notice(self, text: str) -> None:
        """Say a line."""
        say(text)


class Picture(Screen):
    """A table that is drawn anew.

    Args:
        plan: of the sweep.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._started = plan, time.monotonic()
        self._rows: list[Row] = []
        self._importances: dict[str, float] = {}
        self._attempts: list[Attempt] = []
        self._drawn = 0.0
        self._live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
        self._live.start()

    def rows(self, rows: list[Row], importances: dict[str, float]) -> None:
        """Take the claims."""
        self._rows, self._importances = rows, importances
        self._draw(now=True)

    def running(self, attempts: list[Attempt]) -> None:
        """Take what runs."""
        self._attempts = attempts
        self._draw()

    def notice(self, text: str) -> None:
        """Say a line above the table."""
        self._live.console.print(Text(text, style="dim"))

    def __exit__(self, *error: object) -> None:
        """Take the table away; the closing one stays."""
        self._live.stop()

    def _draw(self, now: bool = False) -> None:
        if now or time.monotonic() - self._drawn > REDRAW_S:
            self._drawn = time.monotonic()
            self._live.update(self._page(), refresh=True)

    def _page(self) -> RenderableType:
        plan, rows = self._plan, self._rows
        trials = [row for row in rows if row.kind == TRIAL]
        over = [row for row in trials if row.over]
        of = "" if plan.trials is None else f"/{plan.trials}"
        took = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - self._started))
        head = Text.assemble(
            (plan.name, "bold"), f"  {len(over)}{of} trials  {_counts(over)}  {took}"
        )
        parts: list[RenderableType] = [head]
        best = ranked(plan, rows)
        if best:
            words = _words(best[0].params)
            parts.append(Text(f"best  {_number(best[0].value)}  {words}", style="green"))
        if self._importances:
            found = "  ".join(f"{name} {100 * x:.0f} %" for name, x in self._importances.items())
            parts.append(Text(f"mattered  {found}", style="dim"))
        room = max(3, self._live.console.height - 8)
        parts += [Text(""), self._table([row for row in rows if not row.over], over[-room:])]
        return Group(*parts)

    def _table(self, open_rows: list[Row], over: list[Row]) -> Table:
        table = columns()
        for name in ("trial", *self._plan.space.names, "state", "steps", "score", "value"):
            table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
        runs = {_key(attempt.row): attempt for attempt in self._attempts}
        for row in [*over, *open_rows]:
            attempt = runs.get(_key(row))
            steps = f"{attempt.step:,}" if attempt is not None and attempt.step else ""
            score = attempt.score if attempt is not None else row.facts.get("score")
            name = f"{row.number}" if row.kind == TRIAL else f"{row.number} fresh {row.part}"
            cells = [_short((row.params or {}).get(key)) for key in self._plan.space.names]
            state = Text(row.state, style=COLOURS[row.state])
            table.add_row(name, *cells, state, steps, _number(score), _number(row.value))
        return table


def show_sweep(plan: Plan, result: Mapping[str, Any], rows: list[Row]) -> None:
    """Print what came of a sweep: its best trials, the winner on fresh seeds, what to type next."""
    table = columns()
    names = plan.space.names
    for name in ("trial", *names, plan.objective, "score"):
        table.add_column(name, justify="right", no_wrap=True)
    top = ranked(plan, rows)[:MOST_ROWS]
    for row in top:
        cells = [_short((row.params or {})[name]) for name in names]
        table.add_row(str(row.number), *cells, _number(row.value), _number(row.facts["score"]))
    counts = ", ".join(f"{result[s]} {s}" for s in ("complete", "pruned", "failed") if result[s])
    show(Text(f"{plan.name}  ·  {result['trials']} trials: {counts}", style="bold"), Text(""))
    if top:
        show(table, Text(""))
    show(_facts(plan, result))


def _facts(plan: Plan, result: Mapping[str, Any]) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    best = result["best"]
    if best is not None:
        facts.add_row("best", f"trial {best['number']}: {_words(best['params'])}")
        fresh = best["fresh"]
        if fresh["value"] is not None:
            runs = ", ".join(_number(value) for value in fresh["values"])
            lost = f", {fresh['failed']} more failed" if fresh["failed"] else ""
            said = f"{_number(fresh['value'])} on fresh seeds ({runs}{lost})"
            facts.add_row("", f"{plan.objective} {said}; {_number(best['value'])} in the sweep")
        elif fresh["failed"]:
            facts.add_row("", "its runs on fresh seeds failed")
    if result["importances"]:
        found = ", ".join(f"{name} {100 * x:.0f} %" for name, x in result["importances"].items())
        facts.add_row("mattered", found)
    facts.add_row("files", f"{plan.folder}/trials.csv, result.json" + _plots(result))
    if best is not None:
        facts.add_row("next", f"grpo train --config-dir {plan.folder} experiment=best")
        facts.add_row("", f"grpo tensorboard {plan.folder}")
    return facts


def _plots(result: Mapping[str, Any]) -> str:
    return ", plots/" if result["plots"] else ""


def _told(plan: Plan, row: Row) -> str:
    words = _words(row.params)
    took = f"{row.facts.get('wall_s', 0):.1f} s"
    if row.state == COMPLETE:
        return f"{words}  {plan.objective} {_number(row.value)}, {took}"
    if row.state == "failed":
        return f"{words}  failed: {row.facts.get('error', '')}"
    return f"{words}  {row.state} at {_number(row.facts.get('score'))}, {took}"


def _words(params: Mapping[str, Any] | None) -> str:
    return " ".join(f"{name}={_short(value)}" for name, value in (params or {}).items())


def _size(plan: Plan) -> str:
    if plan.trials is None:
        return f"trials for {plan.budget_s:.0f} s"
    return f"the full grid of {plan.trials} trials" if plan.grid else f"{plan.trials} trials"


def _counts(over: list[Row]) -> str:
    states = ("complete", "pruned", "failed")
    found = {state: sum(row.state == state for row in over) for state in states}
    return ", ".join(f"{count} {state}" for state, count in found.items() if count)


def _key(row: Row) -> tuple[str, int, int]:
    return row.kind, row.number, row.part


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
