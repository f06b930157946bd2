"""The help pages. What they list is read from the schema and from conf/, never written twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.text import Text
from typer.core import TyperCommand, TyperGroup, TyperOption

from grpo_cli import __version__
from grpo_cli.cli import examples
from grpo_cli.cli.door import describe, leave
from grpo_cli.cli.page import Page
from grpo_cli.config import files
from grpo_cli.config.schema import (
    COMPONENTS,
    MISSING,
    BenchConf,
    EnvConf,
    EvalConf,
    TrainConf,
    everyday,
)
from grpo_cli.config.suggest import did_you_mean
from grpo_cli.config.sweep_schema import SweepConf
from grpo_cli.config.values import Expected, typed
from grpo_cli.errors import ConfigError

# Click's base class of everything wrong with flags; Typer has no name of its own for it.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


@contextmanager
def _usage() -> Iterator[None]:
    """Say what is wrong with flags as everything else is said."""
    try:
        yield
    except _UsageError as error:
        first = error.format_message().splitlines()[0]  # type: ignore[attr-defined]
        leave(describe(ConfigError(first.rstrip("."), "--help lists the flags")))


class Verbs(TyperGroup):
    """The group of all verbs: its own help page, and a suggestion for a mistyped verb."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page of `grpo --help`."""
        page = Page(f"grpo {__version__}", (self.help or "").strip())
        page.text("Usage", "grpo VERB [flags] [key=value ...]")
        verbs = ((name, _first_line(verb.help)) for name, verb in self.commands.items())
        page.rows("Verbs", verbs)
        page.rows("Examples", examples.VERBS)
        page.text("More", "grpo VERB --help lists the flags and keys of a verb; grpo --version")
        page.rows("Exit codes", examples.EXIT_CODES, align="right")
        page.show()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the flags before the verb."""
        with _usage():
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the verb, or say which one was probably meant."""
        if args[0] not in self.commands:
            guess = did_you_mean(args[0], self.commands)
            verbs = f"verbs: {', '.join(self.commands)}"
            leave(describe(ConfigError(f"there is no verb {args[0]}", guess or verbs)))
        return super().resolve_command(ctx, args)


class _Verb(TyperCommand):
    """A verb with a page of its own."""

    usage = ""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page of `grpo VERB --help`."""
        page = Page(f"grpo {self.name}", (self.help or "").strip())
        page.text("Usage", self.usage)
        self.sections(page)
        page.rows("Flags", _flags(self))
        page.show()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the flags."""
        with _usage():
            return super().parse_args(ctx, args)

    def sections(self, page: Page) -> None:
        """Print what is particular to the verb."""


class TrainCommand(_Verb):
    """`grpo train`."""

    usage = "grpo train [flags] env=... [key=value ...]"

    def sections(self, page: Page) -> None:
        """Print keys, components and examples."""
        page.rows("Keys", [_ENV_ROW, *_keys(EnvConf, "env."), *_keys()], header=_HEADER)
        page.rows("Components", _components(), header=("group", "choices, the default first"))
        page.text(
            "",
            "loss.eps_low=0.1 sets a key of a component; grpo config lists all keys.",
            "Own code takes a component's place: loss=my_pkg.fn +loss.beta=0.1",
            "grpo presets says what each preset is, and what it sets.",
        )
        page.rows("Examples", examples.TRAIN)
        page.rows("Hydra's flags", _HYDRA)


class SweepCommand(_Verb):
    """`grpo sweep`."""

    usage = "grpo sweep [flags] env=... [key=sweep ...] [key=value ...] [sweep.trials=40 ...]"

    def sections(self, page: Page) -> None:
        """Print how settings are varied, keys, and examples."""
        page.rows("What varies", examples.SPACES)
        page.text(
            "",
            "Without any of these: sweep=NAME, a file of conf/sweep or of --config-dir, or the one",
            f"for the environment ({', '.join(files.choices('sweep'))}).",
        )
        rows = [*_keys(SweepConf, "sweep."), ("env, lr, ...", "", "those of grpo train")]
        page.rows("Keys", rows, header=_HEADER)
        page.rows("Examples", examples.SWEEP)


class EvalCommand(_Verb):
    """`grpo eval`."""

    usage = "grpo eval [flags] ckpt=... [key=value ...]"

    def sections(self, page: Page) -> None:
        """Print keys and examples."""
        page.rows("Keys", _keys(EvalConf), header=_HEADER)
        page.rows("Examples", examples.EVAL)


class ConfigCommand(_Verb):
    """`grpo config`."""

    usage = "grpo config [flags] env=... [key=value ...]"

    def sections(self, page: Page) -> None:
        """Print how values win over each other."""
        page.text("Precedence", "default < component file < env file < preset < command line")
        page.rows("Examples", examples.CONFIG)


class PresetsCommand(_Verb):
    """`grpo presets`."""

    usage = "grpo presets [flags] [pattern]"

    def sections(self, page: Page) -> None:
        """Print what a preset is, and examples."""
        page.text(
            "Presets",
            "A preset sets how attempts are compared and how the policy moves. Learning rate,",
            "groups, epochs and budget stay those of the environment, where the system allows it.",
            "grpo config env=CartPole-v1 preset=dapo shows what comes from where.",
        )
        page.rows("Examples", examples.PRESETS)


class EnvsCommand(_Verb):
    """`grpo envs`."""

    usage = "grpo envs [flags] [pattern]"

    def sections(self, page: Page) -> None:
        """Print what is listed, and examples."""
        page.text(
            "Environments",
            "Any Gymnasium id can be trained on: also my_pkg:Env-v0 and ./my_env.py:MyEnv. Listed",
            "are those of Gymnasium, ALE and MiniGrid. docs/environments.md has the rest.",
        )
        page.rows("Examples", examples.ENVS)


class PathsCommand(_Verb):
    """`grpo inspect` and `grpo repro`."""

    @property
    def usage(self) -> str:
        """How it is written."""
        return f"grpo {self.name} [flags] RUN"

    def sections(self, page: Page) -> None:
        """Print examples."""
        rows = ((f"grpo {self.name} last", "the newest run"), (f"grpo {self.name} runs/...", ""))
        page.rows("Examples", rows)


class BenchCommand(_Verb):
    """`grpo bench`."""

    usage = "grpo bench [flags] [env=...] [budget=1m] [key=value ...]"

    def sections(self, page: Page) -> None:
        """Print keys, what comes of it, and examples."""
        page.rows("Keys", [*_keys(BenchConf), ("env, ...", "", "those of grpo train")], _HEADER)
        page.text(
            "Recommendation",
            "backend, num_groups, num_minibatches, minibatch_size and threads, of which those that",
            "are named here stay. grpo train tune=auto takes it; docs/performance.md has the rule.",
        )
        page.rows("Examples", examples.BENCH)


class DoctorCommand(_Verb):
    """`grpo doctor`."""

    usage = "grpo doctor [flags] [env=... | replay=RUN/crash-...]"

    def sections(self, page: Page) -> None:
        """Print examples."""
        page.rows("Examples", examples.DOCTOR)


class TensorboardCommand(_Verb):
    """`grpo tensorboard`."""

    usage = "grpo tensorboard [flags] [RUNS ...]"

    def sections(self, page: Page) -> None:
        """Print examples."""
        page.rows("Examples", examples.TENSORBOARD)


_HEADER = ("key", "default", "what it is, its type and unit")
_ENV_ROW = ("env", "required", "any Gymnasium id, my_pkg:Env-v0 or ./file.py:Class")
_HYDRA = (
    ("-m", "run every combination of key=a,b,c"),
    ("--cfg job", "show the configuration and stop"),
    ("--config-dir DIR", "add a folder of your own config files"),
    ("--hydra-help", "all of them"),
)


def _keys(conf: type = TrainConf, prefix: str = "") -> list[tuple[str | Text, ...]]:
    rows: list[tuple[str | Text, ...]] = []
    for name, entry in everyday(conf).items():
        expected = Expected.of_field(entry)
        unit = entry.metadata["unit"]
        limits = f" ({expected.type_words}{', ' if unit else ''}{unit})"
        what = Text.assemble(entry.metadata["help"], (limits, "dim"))
        rows.append((prefix + name, _default(expected), what))
    return rows


def _default(expected: Expected) -> str:
    if expected.default == MISSING:
        return "required"
    return f"{expected.default:_}" if type(expected.default) is int else typed(expected.default)


def _components() -> list[tuple[str, str]]:
    chosen = files.defaults()
    rows = []
    for group in (*COMPONENTS, "preset"):
        default = chosen.get(group, "")
        others = [name for name in files.choices(group) if name != default]
        rows.append((group, "  ".join([default, *others])))
    return rows


def _flags(command: TyperCommand) -> list[tuple[str, str]]:
    options = [param for param in command.params if isinstance(param, TyperOption)]
    return [(", ".join(option.opts), option.help or "") for option in options]


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
