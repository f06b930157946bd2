"""The help pages of the verbs that read runs."""

from grpo_cli.cli import examples
from grpo_cli.cli.help import _HEADER, Page, _keys, _Verb
from grpo_cli.config.asks import ExportConf, PlayConf

_WORDS = (
    ("runs/CartPole-v1/grpo-s0-...", "a run"),
    ("runs/CartPole-v1", "a folder of runs"),
    ("'runs/*/dapo-*'", "a pattern of folders"),
    ("last", "the newest run"),
    ("preset=dapo", "all runs that were made with this word"),
    ("'env=CartPole-v1 seed<3'", "all conditions hold; tag=, name=, state=, greedy>450"),
)


class RunsCommand(_Verb):
    """`grpo runs`."""

    usage = "grpo runs [flags] [condition ...]"

    def sections(self, page: Page) -> None:
        """Print what a condition is, and examples."""
        page.text(
            "Conditions",
            "KEY=VALUE of env, name, seed, tag, state (finished, running, stopped), solved, or a",
            "word of the command line; != turns it around. < <= > >= compare seed, env_steps,",
            "updates, ret, greedy, sampled and wall_s. Any other word is looked for everywhere.",
        )
        page.rows("Examples", examples.RUNS)


class _OfRuns(_Verb):
    """A verb that takes runs."""

    examples: tuple[tuple[str, str], ...] = ()

    def sections(self, page: Page) -> None:
        """Print how runs are named, and examples."""
        page.rows("Runs", _WORDS)
        page.rows("Examples", self.examples)


class PlotCommand(_OfRuns):
    """`grpo plot`."""

    usage = "grpo plot [flags] RUNS ..."
    examples = examples.PLOT


class CompareCommand(_OfRuns):
    """`grpo compare`."""

    usage = "grpo compare [flags] A B"
    examples = examples.COMPARE


class ReportCommand(_OfRuns):
    """`grpo report`."""

    usage = "grpo report [flags] RUNS ..."
    examples = examples.REPORT


class WatchCommand(_Verb):
    """`grpo watch`."""

    usage = "grpo watch [flags] [RUN]"

    def sections(self, page: Page) -> None:
        """Print examples."""
        page.rows("Examples", examples.WATCH)


class ExportCommand(_Verb):
    """`grpo export`."""

    usage = "grpo export [flags] ckpt=... [key=value ...]"

    def sections(self, page: Page) -> None:
        """Print keys and examples."""
        page.rows("Keys", _keys(ExportConf), header=_HEADER)
        page.rows("Examples", examples.EXPORT)


class PlayCommand(_Verb):
    """`grpo play`."""

    usage = "grpo play [flags] ckpt=... [key=value ...]"

    def sections(self, page: Page) -> None:
        """Print keys and examples."""
        page.rows("Keys", _keys(PlayConf), header=_HEADER)
        page.rows("Examples", examples.PLAY)


class CompletionCommand(_Verb):
    """`grpo completion`."""

    usage = "grpo completion bash|zsh|fish"

    def sections(self, page: Page) -> None:
        """Print where to put it."""
        page.rows("Examples", examples.COMPLETION)
