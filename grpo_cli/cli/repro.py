"""`grpo repro`: does a run come out the same when it is made again?"""

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door, warnings_to
from grpo_cli.cli.help import PathsCommand
from grpo_cli.cli.inspect import paths


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("repro", cls=PathsCommand, context_settings=flags.KEEP_ORDER)(repro)


def repro(
    context: typer.Context,
    quiet: flags.Quiet = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
    trust: flags.Trust = False,
) -> None:
    """Train a run again from its start, and compare bit for bit."""
    with door(debug):
        [word] = paths(context.args, 1, "grpo repro last")
        from grpo_cli.cli.screen import show_json
        from grpo_cli.config import replay
        from grpo_cli.sinks.view import View

        view: View = View(quiet=quiet, json=json)
        with warnings_to(view.warn):
            found = replay.repro(word, view=view, trusted=trust)
        if json:
            show_json(found)
        elif found["same"]:
            weights = ", and the weights" if found["weights"] else ""
            typer.echo(f"{found['run']}: {found['updates']:,} updates came out the same{weights}")
        else:
            typer.echo(f"{found['run']} differs: {found['difference'] or 'the weights'}")
        if not found["same"]:
            raise typer.Exit(1)
