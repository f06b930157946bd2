"""`grpo presets`: the published systems that a run can take its settings from."""

import shlex
from dataclasses import asdict, astuple, dataclass
from fnmatch import fnmatch

import typer
import yaml
from rich.table import Table

from grpo_cli.cli import flags
from grpo_cli.cli.door import door
from grpo_cli.cli.help import PresetsCommand
from grpo_cli.cli.screen import columns, show, show_json
from grpo_cli.config.files import choices, conf_dir, leaves
from grpo_cli.config.suggest import did_you_mean
from grpo_cli.config.values import typed
from grpo_cli.errors import ConfigError


@dataclass(frozen=True)
class Preset:
    """What the head of a file of conf/preset says.

    Attributes:
        name: what `preset=` takes.
        summary: what it is, in one line.
        source: who published it, and where.
    """

    name: str
    summary: str
    source: str


def register(app: typer.Typer) -> None:
    """Add the verb."""
    # An argument of its own would make Typer load pydantic: see flags.KEEP_ORDER.
    settings = {"allow_extra_args": True}
    app.command("presets", cls=PresetsCommand, context_settings=settings)(presets)


def presets(
    context: typer.Context,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
) -> None:
    """List the published systems, for preset=NAME."""
    with door(debug):
        found = matching(" ".join(context.args).lower())
        if json:
            show_json([{**asdict(preset), "words": words(preset.name)} for preset in found])
            return
        show(_table(found))
        if len(found) == 1:  # printed as it is: a line to copy must not be folded
            print(f"\nthe same as  {shlex.join(words(found[0].name))}")


def matching(pattern: str) -> list[Preset]:
    """Return the presets that fit a pattern; a whole name fits that preset alone.

    Args:
        pattern: in lower case; part of a name, a line or a source, or a name with * in it.

    Raises:
        ConfigError: there is none.
    """
    names = [name for name in choices("preset") if name != "none"]
    if pattern in names:
        return [about(pattern)]
    known = [about(name) for name in names]
    found = [
        p for p in known if fnmatch(p.name, pattern) or pattern in "\n".join(astuple(p)).lower()
    ]
    if not found:
        guess = did_you_mean(pattern, names)
        raise ConfigError(f"no preset fits {pattern}", guess or "grpo presets lists them all")
    return found


def about(name: str) -> Preset:
    """Read the second line of a preset's file, which is `# summary (source)`."""
    line = _text(name).splitlines()[1].removeprefix("# ")
    summary, _, source = line.removesuffix(")").rpartition(" (")
    return Preset(name, summary, source)


def words(name: str) -> list[str]:
    """Return what a preset sets as one would type it: the choices, then the values."""
    tree = yaml.safe_load(_text(name))
    chosen = [pair for entry in tree.pop("defaults", ()) for pair in entry.items()]
    parts = [f"{group.removeprefix('override /')}={choice}" for group, choice in chosen]
    return parts + [f"{key}={typed(value)}" for key, value in leaves(tree)]


def _text(name: str) -> str:
    return (conf_dir() / "preset" / f"{name}.yaml").read_text(encoding="utf-8")


def _table(found: list[Preset]) -> Table:
    table = columns()
    table.add_column("preset", style="cyan", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    table.add_column("source", style="dim", overflow="fold")
    for preset in found:
        table.add_row(preset.name, preset.summary, preset.source)
    return table
