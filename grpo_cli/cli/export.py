"""`grpo export`: a policy for other programs."""

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door, warnings_to
from grpo_cli.cli.pages import ExportCommand
from grpo_cli.cli.words import arrange
from grpo_cli.config.asks import ExportConf


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("export", cls=ExportCommand, context_settings=flags.KEEP_ORDER)(export)


def export(
    context: typer.Context,
    quiet: flags.Quiet = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
    trust: flags.Trust = False,
) -> None:
    """Write a policy as ONNX, TorchScript, safetensors or a folder for the Hub."""
    with door(debug):
        words = arrange(context.args, ExportConf)
        from grpo_cli.cli.screen import show_json
        from grpo_cli.config.evaluation import conf_of

        conf = conf_of(ExportConf, words.overrides)
        from grpo_cli.config.exporting import export_job
        from grpo_cli.sinks.view import View

        view = View(quiet=quiet, json=json)
        with warnings_to(view.warn):
            found = export_job(conf, view=view, trusted=trust)
        if json:
            show_json(found)
        elif quiet:
            typer.echo(found["out"])
        elif conf.format == "hf":
            typer.echo(f"{found['out']}\n  loads with transformers, an adapter with PEFT")
        else:
            typer.echo(
                f"{found['out']}\n  does what the policy does on {found['states']:,} states of "
                f"{found['env']}: numbers differ by {found['difference']:.1e} at most"
            )
            if found["url"]:
                typer.echo(f"  uploaded  {found['url']}")
            if conf.format == "onnx":
                typer.echo(f"  next  grpo eval ckpt={found['out']}")
