"""`grpo compare`: which of two sides is better, and where they differ."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.inspect import no_flags
from grpo_cli.cli.pages import CompareCommand
from grpo_cli.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

Found = Mapping[str, Any]
MOST_KEYS = 20


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("compare", cls=CompareCommand, context_settings=flags.KEEP_ORDER)(compare)


def compare(
    context: typer.Context,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """Compare two sides: configs, scores seed by seed, and a verdict."""
    with door(debug):
        words = no_flags(context.args)
        if len(words) != 2:
            raise ConfigError(
                f"two sides are compared, got {len(words)}",
                "write grpo compare preset=dapo preset=gspo; several conditions in quotes",
            )
        from grpo_cli.cli.screen import show, show_json
        from grpo_cli.compare import compare as judge
        from grpo_cli.runs import select

        a, b = (select([word]) for word in words)
        found = judge(a, b)
        if json:
            show_json(found)
        else:
            show(*_page(found, words))


def _page(found: Found, words: list[str]) -> "Iterator[RenderableType]":
    from rich.text import Text

    from grpo_cli.cli.screen import columns

    yield Text(found["env"], style="bold")
    for side, word, seeds in zip("AB", words, found["seeds"], strict=True):
        said = ", ".join(map(str, seeds))
        yield Text.assemble((f"  {side}  ", "bold"), word, (f"  seeds {said}", "dim"))
    if found["config"]:
        yield Text("\nconfig", style="bold")
        table = columns()
        for name in ("key", "A", "B"):
            table.add_column(name, overflow="fold")
        for key, values in list(found["config"].items())[:MOST_KEYS]:
            table.add_row(key, *values)
        yield table
        if len(found["config"]) > MOST_KEYS:
            yield Text(f"and {len(found['config']) - MOST_KEYS} more: --json", style="dim")
    else:
        yield Text("\nthe configs are the same", style="dim")
    yield Text("\nscores", style="bold")
    yield _scores(found["scores"])
    how = "the same seeds, in pairs" if found["paired"] else "different seeds, not in pairs"
    notes = f"{how}; 95 % bootstrap intervals; score: the worse of greedy and sampled"
    yield Text(notes, style="dim")
    yield Text(f"\n{found['verdict']}", style="bold")


def _scores(scores: Mapping[str, Found]) -> "RenderableType":
    from grpo_cli.cli.screen import columns
    from grpo_cli.sinks.format import number

    table = columns()
    for name in ("", "runs", "A", "B", "B - A", "95 %", "B better", "95 %"):
        table.add_column(name, justify="right" if name else "left")
    for name, score in scores.items():
        count = "/".join(dict.fromkeys(map(str, score["runs"])))
        low, high = (f"{100 * end:.0f}" for end in score["improvement_ci"])
        table.add_row(
            name, count, *(number(score[key]) for key in ("a", "b", "difference")),
            f"{number(score['ci_low'])} to {number(score['ci_high'])}",
            f"{100 * score['improvement']:.0f} %", f"{low} to {high} %",
        )  # fmt: skip
    return table
