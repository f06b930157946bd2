"""The help pages of the verbs that read runs."""

from grpo_cli.cli import examples
from grpo_cli.cli.help import Page, _Verb

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
