"""`grpo runs`: what has been trained here; tags, and taking away."""

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.inspect import no_flags
from grpo_cli.cli.pages import RunsCommand
from grpo_cli.errors import ConfigError, GrpoError

if TYPE_CHECKING:
    from grpo_cli.runs import Run

SORTS = ("started", "env", "name", "seed", "env_steps", "ret", "greedy", "sampled", "wall_s")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("runs", cls=RunsCommand, context_settings=flags.KEEP_ORDER)(runs)


def runs(
    context: typer.Context,
    sort: Annotated[str, typer.Option("--sort", help=f"By {', '.join(SORTS)}.")] = "started",
    tag: Annotated[str, typer.Option("--tag", help="Give these runs a tag.")] = "",
    untag: Annotated[str, typer.Option("--untag", help="Take a tag from these runs.")] = "",
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove these runs; asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the folders.")] = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """List, tag or remove runs."""
    with door(debug):
        words = no_flags(context.args)
        if sort not in SORTS:
            raise ConfigError(f"runs cannot be sorted by {sort}", f"by {', '.join(SORTS)}")
        if remove and not words:
            raise ConfigError("--remove needs to be told which", "for all of them: grpo runs runs/")
        from grpo_cli.cli.screen import show_json
        from grpo_cli.runs import listed, matches, retag

        found = matches(listed(), words)
        found.sort(key=lambda run: _key(getattr(run, sort)))
        if tag or untag:
            for run in found:
                retag(run, [tag] if tag else [], [untag] if untag else [])
            paths = [run.path for run in found]
            found = [run for run in listed() if run.path in paths]
        if json:
            show_json([run.as_json() for run in found])
        elif quiet:
            typer.echo("".join(f"{run.path}\n" for run in found), nl=False)
        else:
            _show(found, words)
        if remove and found:
            _remove(found, yes)


def _key(value: object) -> tuple[bool, object]:
    return value is not None, value if value is not None else 0


def _show(found: "Sequence[Run]", words: list[str]) -> None:
    from rich.text import Text

    from grpo_cli.cli.screen import columns, show
    from grpo_cli.runs import state
    from grpo_cli.sinks.format import count, duration, number

    if not found:
        where = " ".join(words)
        typer.echo(f"no run {'for which ' + where if words else 'in runs/'}", err=True)
        return
    table = columns()
    for name in ("run", "started", "steps", "return", "greedy", "sampled", "time", "", "tags"):
        right = name in ("steps", "return", "greedy", "sampled", "time")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    looks = {"running": "cyan", "stopped": "yellow", "finished": ""}
    for run in found:
        stands = state(run)
        said = {True: "solved", False: "not solved", None: stands}[run.solved]
        colour = {True: "green", False: "yellow", None: looks[stands]}[run.solved]
        numbers = (number(value) for value in (run.ret, run.greedy, run.sampled))
        table.add_row(
            run.path, run.started[:16].replace("T", " "), count(run.env_steps), *numbers,
            duration(run.wall_s) if run.wall_s else "-", Text(said, style=colour),
            " ".join(run.tags),
        )  # fmt: skip
    show(table)
    solved = sum(run.solved is True for run in found)
    typer.echo(f"{len(found):,} run{'s' * (len(found) != 1)}, {solved:,} solved", err=True)


def _remove(found: "Sequence[Run]", yes: bool) -> None:
    from grpo_cli.runs import state

    going_on = [run.path for run in found if state(run) == "running"]
    if going_on:
        raise ConfigError(f"{going_on[0]} is still training", "end it first")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("nobody is there to be asked", "say --yes")
        many = f"these {len(found)} runs" if len(found) > 1 else found[0].path
        if not typer.confirm(f"remove {many} for good?"):
            typer.echo("nothing was removed", err=True)
            return
    for run in found:
        try:
            shutil.rmtree(run.path)
        except OSError as error:
            raise GrpoError(
                f"{run.path} cannot be removed: {error.strerror or error}", "is it yours?"
            ) from error
    typer.echo(f"removed {len(found)}", err=True)
