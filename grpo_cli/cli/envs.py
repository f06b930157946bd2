"""`grpo envs`: the environments that can be named, and what each of them needs."""

import json as json_text
import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from importlib.util import find_spec

import typer
from rich.table import Table

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.help import EnvsCommand
from grpo_cli.cli.screen import columns, show, show_json
from grpo_cli.config import env_ids
from grpo_cli.config.files import PACKAGE, find
from grpo_cli.config.suggest import did_you_mean
from grpo_cli.errors import ConfigError

SUMMARIES = ("ALE/*-v5", "MiniGrid-*", "BabyAI-*", "*NoFrameskip-v*", "*-v*")
"""Patterns that stand for many ids of a family where everything is listed; the first fits."""


@dataclass(frozen=True)
class Row:
    """What is listed of one environment.

    Attributes:
        id: what `env=` takes.
        observation: its space as registered, in short.
        action: its space as registered, in short.
        backend: what `backend=auto` takes for groups of episodes.
        extra: of grpo-cli that it needs; empty where none.
        installed: its package is there.
        file: in conf/env, where its settings come from; None: the defaults.
        tuned: that file is its own, and says how long to train.
    """

    id: str
    observation: str
    action: str
    backend: str
    extra: str
    installed: bool
    file: str | None
    tuned: bool


def register(app: typer.Typer) -> None:
    """Add the verb."""
    # An argument of its own would make Typer load pydantic: see flags.KEEP_ORDER.
    app.command("envs", cls=EnvsCommand, context_settings={"allow_extra_args": True})(envs)


def envs(
    context: typer.Context,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """List environments, for env=ID."""
    with door(debug):
        pattern = " ".join(context.args)
        found = rows(matching(pattern))
        if json:
            show_json([asdict(row) for row in found])
            return
        show(_table(found, fold=not pattern))
        if len(found) == 1:  # printed as it is: a line to copy must not be folded
            print(f"\n{_next(found[0])}")


def matching(pattern: str) -> list[env_ids.Listed]:
    """Return the listed environments that fit a pattern; a whole id fits that one alone.

    Args:
        pattern: an id, part of one, of an extra or of a kind of space, or an id with * in it;
            case does not matter.

    Raises:
        ConfigError: there is none.
    """
    known = env_ids.listed()
    if pattern in known:
        return [known[pattern]]
    low = pattern.lower()
    found = [
        entry
        for entry in known.values()
        if fnmatch(entry.id.lower(), low)
        or low in entry.id.lower()
        or low == entry.extra
        or low in (kind(entry.observation), kind(entry.action))
    ]
    if not found:
        guess = did_you_mean(pattern, known)
        raise ConfigError(
            f"no listed environment fits {pattern}",
            guess or "any Gymnasium id can be trained on: my_pkg:Env-v0, ./my_env.py:MyEnv",
        )
    return found


def kind(space: str) -> str:
    """Return the kind of a space in short, in lower case: `dict` of `Dict(image, mission)`."""
    return space.partition("(")[0].lower()


def rows(entries: Iterable[env_ids.Listed]) -> list[Row]:
    """Look up what each environment runs with; nothing is imported."""
    agrees = json_text.loads((PACKAGE / "envs" / "parity.json").read_text(encoding="utf-8"))
    pool = find_spec("envpool") is not None
    there = {extra: find_spec(module) is not None for extra, module in env_ids.MODULES.items()}
    found = []
    for entry in entries:
        own, family = find("env", entry.id), env_ids.family(entry.id)
        layer = own or (find("env", family) if family else None)
        fast = pool and agrees.get(entry.id, {}).get("agrees")
        native = entry.id.startswith("CartPole")
        found.append(
            Row(
                id=entry.id,
                observation=entry.observation,
                action=entry.action,
                backend="native" if native else "envpool" if fast else "sync",
                extra=entry.extra,
                installed=there.get(entry.extra, True),
                file=None if layer is None else layer.label,
                tuned=own is not None and "total_steps" in own.content,
            )
        )
    return found


def _table(found: list[Row], fold: bool) -> Table:
    """Tabulate; `fold`: the many ids of a family that have no file of their own share a line."""
    table = columns()
    table.add_column("env", style="cyan", overflow="fold")
    for name in ("observation", "actions", "backend", "needs", "file"):
        table.add_column(name, overflow="fold", style="" if name != "file" else "dim")
    folded: dict[str, list[Row]] = {}
    for row in found:
        if fold and env_ids.family(row.id) and not row.tuned:
            pattern = next(p for p in SUMMARIES if fnmatch(row.id, p))
            folded.setdefault(pattern, []).append(row)
            continue
        table.add_row(row.id, row.observation, row.action, row.backend, _needs(row), _file(row))
    for pattern in filter(folded.__contains__, SUMMARIES):
        alike = folded[pattern]
        row = alike[0]
        observation = row.observation if kind(row.observation) == "dict" else "Box uint8"
        table.add_row(
            f"{pattern}  ({len(alike)} ids)", observation, kind(row.action).capitalize(),
            row.backend, _needs(row), _file(row),
        )  # fmt: skip
    return table


def _needs(row: Row) -> str:
    return row.extra if row.installed else f"{row.extra} (not installed)"


def _file(row: Row) -> str:
    return "tuned" if row.tuned else (row.file or "")


def _next(row: Row) -> str:
    if not row.installed:
        return f"pip install {shlex.quote(f'grpo-cli[{row.extra}]')}"
    return f"grpo train env={row.id}"
