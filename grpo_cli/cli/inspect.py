"""`grpo inspect`: what is in a run or a checkpoint; nothing in it is executed."""

from typing import Any

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.help import PathsCommand
from grpo_cli.errors import ConfigError

Facts = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("inspect", cls=PathsCommand, context_settings=flags.KEEP_ORDER)(inspect)


def inspect(
    context: typer.Context,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """Show what is in a run or a checkpoint, without running any of it."""
    with door(debug):
        [word] = paths(context.args, 1, "grpo inspect last")
        from grpo_cli.cli.screen import show_json
        from grpo_cli.inspect import inspect as look

        found = look(word)
        if json:
            show_json(found)
        elif found["kind"] == "run":
            _show_run(found)
        else:
            _show_checkpoint(found)


def paths(words: list[str], count: int, example: str) -> list[str]:
    """Return the words of a verb that takes so many paths.

    Raises:
        ConfigError: it was given others.
    """
    wrong = [word for word in words if word.startswith("-") or "=" in word.partition("/")[0]]
    if wrong:
        raise ConfigError(f"this verb takes paths, not {wrong[0]}", f"write {example}")
    if len(words) != count:
        raise ConfigError(f"this verb takes {count} path, got {len(words)}", f"write {example}")
    return words


def no_flags(words: list[str]) -> list[str]:
    """Return the words of a verb that has taken its flags.

    Raises:
        ConfigError: there is one that it does not have.
    """
    for word in words:
        if word.startswith("-"):
            raise ConfigError(f"there is no flag {word}", "--help lists the flags")
    return words


def _show_run(run: Facts) -> None:
    made, metrics = run["made"], run["metrics"]
    typer.echo(f"{run['path']}  {made.get('env', '?')}  seed {made.get('seed', '?')}")
    typer.echo(
        f"  started   {made.get('started', '?')}, gone on with {len(made.get('resumed', []))} times"
    )
    versions = ", ".join(f"{name} {v}" for name, v in made.get("versions", {}).items())
    typer.echo(f"  made by   Python {made.get('python', '?')}, {versions}")
    finished = "finished" if run["summary"] else "not finished"
    steps, updates = metrics.get("time/total_timesteps", 0), metrics.get("time/iterations", 0)
    typer.echo(f"  stands at {steps:,.0f} env steps, {updates:,.0f} updates; {finished}")
    for name in run["crashes"]:
        typer.echo(f"  crash     {run['path']}/{name}")
    for entry in run["checkpoints"]:
        state = entry["damage"] or f"{entry['bytes']:,} bytes, whole"
        typer.echo(f"  {' '.join([entry['name'], *entry['marks']])}: {state}")
    typer.echo(f"\n{run['config'].rstrip()}")


def _show_checkpoint(found: Facts) -> None:
    typer.echo(found["path"])
    if found["damage"]:
        typer.echo(f"  {found['damage']}")
        return
    for name, value in found["facts"].items():
        typer.echo(f"  {name}: {value}")
    for file, tensors in found["tensors"].items():
        from grpo_cli.inspect import count

        typer.echo(f"  {file}: {count(tensors):,} numbers")
        for name, entry in tensors.items():
            typer.echo(f"    {name}  {entry['dtype']} {entry['shape']}")
