"""`grpo doctor`: is this computer, and this environment, fit for training?"""

from collections.abc import Iterable, Mapping
from typing import Any

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import door, warnings_to
from grpo_cli.cli.help import DoctorCommand
from grpo_cli.cli.words import arrange
from grpo_cli.errors import NonFinite

MARKS = {True: "ok", False: "FAILS", None: "-"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("doctor", cls=DoctorCommand, context_settings=flags.KEEP_ORDER)(doctor)


def doctor(
    context: typer.Context,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
    trust: flags.Trust = False,
) -> None:
    """Examine this computer, an environment, or a crash."""
    from grpo_cli.sinks.view import View

    with door(debug), warnings_to(View().warn):
        first = context.args[0] if len(context.args) == 1 else ""
        if first.startswith("replay="):
            _replay(first.partition("=")[2], json, trust)
            return
        words = arrange(context.args).overrides
        from dataclasses import asdict

        from grpo_cli.cli.screen import show_json

        checks = [asdict(check) for check in _checks(words)]
        if json:
            show_json(checks)
        else:
            _show(checks)
        if any(check["ok"] is False for check in checks):
            raise typer.Exit(1)


def _checks(words: list[str]) -> Iterable[Any]:
    from grpo_cli.config.compose import compose

    cfg = compose(words) if words else None  # before torch: a typo is answered at once
    from grpo_cli import doctor as examine

    yield from examine.computer()
    if cfg is not None:
        from grpo_cli.config.build import plain
        from grpo_cli.config.build_env import build_env

        yield from examine.environment(build_env(plain(cfg)))


def _replay(bundle: str, json: bool, trust: bool) -> None:
    from grpo_cli.cli.screen import show_json
    from grpo_cli.config.replay import replay
    from grpo_cli.sinks.view import View

    found = replay(bundle, view=View(quiet=True), trusted=trust)
    if json:
        show_json(found)
    else:
        for name, column in found["columns"].items():
            typer.echo(f"{name:24} {column['low']} to {column['high']}, {_not_finite(column)}")
    if found["sampled"] is not None:
        typer.echo(f"sampled again: {found['sampled']}", err=json)
    if found["error"] is not None:
        raise NonFinite(f"update {found['update']}: {found['error']}", "it can be reproduced")
    typer.echo(f"update {found['update']} is finite this time", err=json)


def _not_finite(column: Mapping[str, Any]) -> str:
    return f"{column['not_finite']} not finite" if column["not_finite"] else "all finite"


def _show(checks: list[dict[str, Any]]) -> None:
    for check in checks:
        typer.echo(f"{MARKS[check['ok']]:6} {check['name']:30} {check['says']}")
        if check["fix"]:
            typer.echo(f"{'':6} {'':30} fix: {check['fix']}")
