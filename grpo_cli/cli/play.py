"""`grpo play`: watch a policy, several attempts from one start side by side."""

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door, warnings_to
from grpo_cli.cli.pages import PlayCommand
from grpo_cli.cli.words import arrange
from grpo_cli.config.asks import PlayConf


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("play", cls=PlayCommand, context_settings=flags.KEEP_ORDER)(play)


def play(
    context: typer.Context,
    quiet: flags.Quiet = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
    trust: flags.Trust = False,
) -> None:
    """Watch a policy play: a group from one start, in the terminal or as a film."""
    with door(debug):
        words = arrange(context.args, PlayConf)
        from grpo_cli.cli.screen import show_json
        from grpo_cli.config.evaluation import conf_of

        conf = conf_of(PlayConf, words.overrides)
        from grpo_cli.config.playing import play_job
        from grpo_cli.sinks.view import View

        view = View(quiet=quiet, json=json)
        with warnings_to(view.warn):
            found = play_job(conf, view=view, trusted=trust)
        if json:
            show_json(found)
        elif quiet:
            typer.echo(found["out"])
        elif "answers" in found:
            from grpo_cli.cli.closing import show_answers

            show_answers(found)
        else:
            pairs = zip(found["returns"], found["lengths"], strict=True)
            typer.echo(found["out"] if found["out"] != "terminal" else found["env"])
            for number, (ret, length) in enumerate(pairs, 1):
                typer.echo(f"  #{number}  return {ret:.1f} in {length:,} steps")
