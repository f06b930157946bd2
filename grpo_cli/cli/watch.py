"""`grpo watch`: what a training shows, from another terminal, or after its end."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.inspect import paths
from grpo_cli.cli.pages import WatchCommand
from grpo_cli.errors import CheckpointError

if TYPE_CHECKING:
    from grpo_cli.runs import Run
    from grpo_cli.sinks.view import Facts

LOOK_EVERY_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("watch", cls=WatchCommand, context_settings=flags.KEEP_ORDER)(watch)


def watch(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Draw how it stands, and leave.")] = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """Watch a training that goes on elsewhere, or look at one that has ended."""
    with door(debug):
        [word] = paths(context.args or ["last"], 1, "grpo watch last")
        from grpo_cli.runs import select
        from grpo_cli.runs.follow import Follower
        from grpo_cli.sinks.view import View

        [run] = select([word])[-1:]
        facts = _facts(run)
        follower = Follower(Path(run.path))
        shown = View().watching(facts, lambda: follower.seconds)
        try:
            while not (ended := _ended(run)) and not once:
                shown.replay(follower.read())
                time.sleep(LOOK_EVERY_S)
            shown.replay(follower.read())
        except KeyboardInterrupt:  # whoever watches has seen enough
            ended = "goes on"
        shown.close(ended or "goes on")


def _facts(run: "Run") -> "Facts":
    from grpo_cli.sinks.view import Facts

    try:
        return Facts(**run.folder.read_json("facts.json"))
    except TypeError as error:
        raise CheckpointError(
            f"{run.path}/facts.json is not of this version", "grpo report shows this run"
        ) from error


def _ended(run: "Run") -> str:
    """Say how a run has ended; empty while it goes on."""
    from grpo_cli.runs import read, state

    [now] = read([Path(run.path)]) or [run]
    stands = state(now)
    if stands == "running":
        return ""
    return {True: "solved", False: "not solved", None: stands}[now.solved]
