"""`grpo bench`: what this computer can do with an environment, and which settings suit it."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from grpo_cli.cli import flags
from grpo_cli.cli.door import door, warnings_to
from grpo_cli.cli.help import BenchCommand
from grpo_cli.cli.screen import columns, show, show_json
from grpo_cli.cli.words import arrange
from grpo_cli.config.schema import BenchConf, everyday
from grpo_cli.config.values import Expected, seconds, typed

Found = Mapping[str, Any]
ENV = "env=CartPole-v1"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("bench", cls=BenchCommand, context_settings=flags.KEEP_ORDER)(bench)


def bench(
    context: typer.Context,
    quiet: flags.Quiet = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """Measure this computer, and recommend settings for it."""
    with door(debug):
        budget, rest = _budget(context.args)
        words = arrange(rest).overrides
        if not any(word.startswith("env=") for word in words):
            words = [ENV, *words]
        from grpo_cli.config.compose import compose_all

        composed = compose_all(words)  # before torch: a typo is answered at once
        composed.check()
        from grpo_cli.config import tuning
        from grpo_cli.sinks.view import View

        view: View = View(quiet=quiet, json=json)
        with warnings_to(view.warn), _progress(not quiet and not json) as tell:
            found = tuning.bench(composed.cfg, words, budget, view, tell)
        if json:
            show_json(found)
        elif quiet:
            typer.echo(_as_words(found))
        else:
            show(*_page(found))


def _budget(words: list[str]) -> tuple[float, list[str]]:
    """Take the word that is not one of training out of the others."""
    entry = everyday(BenchConf)["budget"]
    given = [word.partition("=")[2] for word in words if word.startswith("budget=")]
    value = given[-1] if given else str(entry.default)
    Expected.of_field(entry).check("budget", value)
    return seconds(value) or 0.0, [word for word in words if not word.startswith("budget=")]


@contextmanager
def _progress(wanted: bool) -> Iterator[Callable[[str, float], None]]:
    """Show how far it is, where a person is looking."""
    if not wanted or not sys.stderr.isatty():
        yield lambda *_: None
        return
    parts = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*parts, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


def _page(found: Found) -> Iterator[RenderableType]:
    computer = found["computer"]
    yield Text(f"{found['env']} on {computer['cpu']}, {computer['cores']} cores", style="bold")
    rates = {name: _inverse(curve) for name, curve in found["env_us"].items()}
    if rates:
        yield from _curves(
            "env steps/s, by members that step together", "backend", rates, "{:,.0f}"
        )
    for name, why in found["notes"].items():
        yield Text(f"{name}: {why}", style="dim")
    acting = "acting: us for each action, by members that act together"
    yield from _curves(acting, "threads", found["act_us"], "{:.2f}")
    update = "update: us for each row of a gradient step, by its rows"
    yield from _curves(update, "threads", found["update_us"], "{:.2f}")
    yield Text("\nrecommended", style="bold")
    table = columns()
    for name in ("key", "asked", "take"):
        table.add_column(name, justify="left" if name == "key" else "right")
    for key, value in found["take"].items():
        before = found["asked"][key]
        table.add_row(key, typed(before), typed(value), style="" if before == value else "green")
    table.add_row("env steps/s", *(f"{found['steps_per_s'][n]:,.0f}" for n in ("asked", "take")))
    yield table
    yield from (Text(line, style="dim") for line in found["why"])
    yield Text(
        f"measured in {found['seconds']:.0f} s; the speeds leave out evaluation", style="dim"
    )
    if found["stored"]:
        yield Text(f"\ngrpo train env={found['env']} tune=auto takes it", style="bold")


def _curves(
    title: str, name: str, curves: Mapping[str, Mapping[str, float]], form: str
) -> Iterator[RenderableType]:
    """Draw curves over the same sizes, a row each; a series may have ended early."""
    yield Text(f"\n{title}", style="bold")
    table = columns()
    table.add_column(name)
    sizes = sorted({int(size) for curve in curves.values() for size in curve})
    for size in sizes:
        table.add_column(f"{size:,}", justify="right")
    for label, curve in curves.items():
        cells = (form.format(curve[str(size)]) if str(size) in curve else "-" for size in sizes)
        table.add_row(label, *cells)
    yield table


def _inverse(curve: Mapping[str, float]) -> dict[str, float]:
    return {size: 1e6 / micro for size, micro in curve.items()}


def _as_words(found: Found) -> str:
    """Write what is recommended as words for `grpo train`."""
    return " ".join(f"{key}={typed(value)}" for key, value in found["take"].items())
