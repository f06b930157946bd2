"""The command line. Importing it must stay fast: no torch, Gymnasium, Hydra or TensorBoard."""

import faulthandler
import os

import typer

from grpo_cli.cli import (
    bench,
    compare,
    complete,
    config,
    doctor,
    envs,
    evaluate,
    export,
    flags,
    inspect,
    play,
    plot,
    presets,
    report,
    repro,
    runs,
    sweep,
    tensorboard,
    train,
    watch,
)
from grpo_cli.cli.help import Verbs

__all__ = ["app", "main"]

app = typer.Typer(
    name="grpo",
    cls=Verbs,
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings=flags.NO_HELP_OPTION,
)


@app.callback()
def grpo(context: typer.Context, version: flags.Version = False, help: flags.Help = False) -> None:
    """Group relative policy optimization for control tasks: learning without a critic."""
    if context.invoked_subcommand is None:
        context.get_help()


for verb in (
    train, sweep, evaluate, play, config, presets, envs, bench, watch, runs, plot, compare, report,
    export, inspect, doctor, repro, tensorboard, complete,
):  # fmt: skip
    verb.register(app)


def main() -> None:
    """Run the command line; the entry point of the `grpo` script."""
    faulthandler.enable(all_threads=False)  # an environment that crashes shows where
    # From 256 rows on NumPy would multiply on all cores: a third faster on an idle computer, and
    # hundreds of times slower on a busy one, where its threads wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app(prog_name="grpo")
