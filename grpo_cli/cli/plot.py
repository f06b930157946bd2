"""`grpo plot`: curves over seeds, in the terminal or as a picture."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.inspect import no_flags
from grpo_cli.cli.pages import PlotCommand
from grpo_cli.errors import ConfigError

if TYPE_CHECKING:
    from rich.text import Text

    from grpo_cli.runs import Band

MOST_WIDTH, HEIGHT, PIPED_WIDTH = 120, 16, 100


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("plot", cls=PlotCommand, context_settings=flags.KEEP_ORDER)(plot)


def plot(
    context: typer.Context,
    out: Annotated[
        str, typer.Option("--out", "-o", help="A picture: .png, .svg or .pdf; else the terminal.")
    ] = "",
    metric: Annotated[
        str, typer.Option("--metric", help="What to draw; docs/metrics.md lists all.")
    ] = "rollout/ep_rew_mean",
    stat: Annotated[str, typer.Option("--stat", help="Over seeds: mean or iqm.")] = "mean",
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """Draw curves with bootstrap bands over seeds, grouped by what differs."""
    with door(debug):
        words = no_flags(context.args)
        if not words:
            raise ConfigError("no runs named", "write grpo plot runs/CartPole-v1")
        from grpo_cli import plot as drawing
        from grpo_cli.runs import select

        if stat not in drawing.STATISTICS:
            raise ConfigError(f"--stat is mean or iqm, not {stat}")
        path = Path(out)
        if out and path.suffix not in drawing.FORMATS:
            raise ConfigError(f"{out} is no picture", f"end it in {', '.join(drawing.FORMATS)}")
        found = drawing.curves(select(words), metric, stat)
        if out:
            drawing.draw(path, found, metric, stat)
            typer.echo(out)
            return
        from grpo_cli.cli.screen import show

        for env, lines in found.items():
            show(*_chart(env, lines, metric, stat))


def _chart(env: str, lines: "Mapping[str, Band]", metric: str, stat: str) -> "Iterator[Text]":
    from rich.console import Console
    from rich.text import Text

    from grpo_cli.cli.screen import is_terminal
    from grpo_cli.sinks import chart
    from grpo_cli.sinks.format import number
    from grpo_cli.sinks.history import Curve

    width = min(MOST_WIDTH, Console().width) if is_terminal() else PIPED_WIDTH
    none = Curve()
    pictures = []
    for band in lines.values():
        x = band.x.tolist()
        edges = [Curve(x, edge.tolist()) for edge in (band.low, band.high)]
        # Bands of several curves would hide each other.
        low, high = edges if len(lines) == 1 and band.runs > 1 else (none, none)
        pictures.append(chart.Picture(Curve(x, band.y.tolist()), low, high, none, None))
    yield Text.assemble((env, "bold"), f"  {metric}, {stat} over seeds")
    for row in chart.overlay(pictures, width, HEIGHT):
        yield Text.assemble(*row)
    for index, (label, band) in enumerate(lines.items()):
        colour = chart.LINE_STYLES[index % len(chart.LINE_STYLES)]
        seeds = f"{band.runs} seed{'s' * (band.runs > 1)}"
        last = f"{number(band.y[-1])} [{number(band.low[-1])}, {number(band.high[-1])}]"
        yield Text.assemble(("━ ", colour), label, (f"  {seeds}, at the end {last}", "dim"))
