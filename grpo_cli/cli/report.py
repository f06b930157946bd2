"""`grpo report`: one HTML file about runs, to be read anywhere."""

from pathlib import Path
from typing import Annotated

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.inspect import no_flags
from grpo_cli.cli.pages import ReportCommand
from grpo_cli.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("report", cls=ReportCommand, context_settings=flags.KEEP_ORDER)(report)


def report(
    context: typer.Context,
    out: Annotated[
        str, typer.Option("--out", "-o", help="The file; else in the run, or ./report.html.")
    ] = "",
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """Write a report of runs: one HTML file that loads nothing."""
    with door(debug):
        words = no_flags(context.args)
        if not words:
            raise ConfigError("no runs named", "write grpo report last")
        from grpo_cli import report as pages
        from grpo_cli.runs import select

        runs = select(words)
        beside = Path(runs[0].path) if len(runs) == 1 else Path()
        path = Path(out) if out else beside / pages.NAME
        pages.write(runs, path)
        typer.echo(str(path))
