"""`grpo config`: what would be trained, and where each value came from."""

from typing import Annotated

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.help import ConfigCommand
from grpo_cli.cli.words import arrange


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("config", cls=ConfigCommand, context_settings=flags.KEEP_ORDER)(config)


def config(
    context: typer.Context,
    explain: Annotated[str, typer.Option("--explain", help="Say what this key or group is.")] = "",
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """Show a configuration, and where each value came from."""
    with door(debug):
        if explain:
            _explain(explain, json)
            return
        sorted_words = arrange(context.args, flags=["--config-dir"])
        from grpo_cli.config.compose import compose_all
        from grpo_cli.config.origins import annotated, with_origins

        composed = compose_all(sorted_words.overrides, sorted_words.dirs)
        composed.check()
        if json:
            from grpo_cli.cli.screen import show_json

            show_json(with_origins(composed))
        else:
            typer.echo(annotated(composed))


def _explain(key: str, json: bool) -> None:
    from dataclasses import asdict

    from rich.text import Text

    from grpo_cli.cli.screen import columns, show, show_json
    from grpo_cli.config import meaning

    found = meaning.explain(key)
    if json:
        show_json({**asdict(found), "facts": dict(found.facts), "choices": dict(found.choices)})
        return
    table = columns()
    table.show_header = False
    for row in (*found.facts, *found.choices):
        table.add_row(Text(f"  {row[0]}", style="cyan"), Text(row[1]))
    show(Text.assemble((found.key, "bold"), f"  {found.sentence}"), table)
