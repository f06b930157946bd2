"""`grpo tensorboard`: the curves of runs, in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.help import TensorboardCommand
from grpo_cli.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("tensorboard", cls=TensorboardCommand)(tensorboard)


def tensorboard(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Run folders, or folders of runs.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on.", min=0, max=65535)
    ] = 6006,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "localhost",
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """Look at the curves of runs in a browser."""
    with door(debug):
        raise typer.Exit(_serve(_folders(runs or ["runs"]), port, host))


def _folders(words: list[str]) -> list[Path]:
    """Return the folders that words name: as they are, or those of runs that are meant."""
    if words == ["runs"] and not Path("runs").is_dir():
        fix = "train something first: grpo train env=CartPole-v1"
        raise ConfigError("there is no folder runs", fix)
    folders: list[Path] = []
    for word in words:
        if Path(word).is_dir():
            folders.append(Path(word))
        else:
            from grpo_cli.runs import select

            folders += [Path(run.path) for run in select([word])]
    return list(dict.fromkeys(folders))


def _serve(folders: list[Path], port: int, host: str) -> int:
    """Run TensorBoard's own main until it is interrupted; returns its exit code."""
    from tensorboard import default, program

    if len(folders) == 1:
        where = f"--logdir={folders[0]}"
    else:
        where = "--logdir_spec=" + ",".join(f"{folder.name}:{folder}" for folder in folders)
    server = program.TensorBoard(default.get_plugins())
    server.configure(argv=["tensorboard", where, f"--port={port}", f"--host={host}"])
    return server.main() or 0
