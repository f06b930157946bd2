"""`grpo train`: the words go to Hydra, the result to stdout."""

import os
import signal
from typing import TYPE_CHECKING, Any

import typer

from grpo_cli.cli import flags
from grpo_cli.cli.door import describe, door, leave, say, warnings_to
from grpo_cli.cli.help import TrainCommand
from grpo_cli.cli.words import HYDRA_FLAGS, Words, arrange
from grpo_cli.config.schema import everyday
from grpo_cli.config.values import Expected
from grpo_cli.errors import ConfigError, NonFinite, RankLost, Stopped

if TYPE_CHECKING:
    from grpo_cli.config.compose import Composed

Record = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train", cls=TrainCommand, context_settings=flags.KEEP_ORDER)(train)


def train(
    context: typer.Context,
    quiet: flags.Quiet = False,
    json: flags.Json = False,
    debug: flags.Debug = False,
    help: flags.Help = False,
    trust: flags.Trust = False,
    version: flags.Version = False,
) -> None:
    """Train a policy."""
    if os.environ.get("RANK", "0") != "0" and os.environ.get("WORLD_SIZE", "1") != "1":
        follow(debug)
        return
    with door(debug):
        sorted_words = arrange(context.args, flags=HYDRA_FLAGS)
        records = _run(sorted_words, trust, quiet, json)
        if sorted_words.sweeps:
            _report_sweep(records, json, debug)
        elif records:
            _report(records[0], quiet, json, debug)


def follow(debug: bool) -> None:
    """Be another rank than 0 of a training, as it was started by torchrun or by rank 0."""
    # What a signal means is for rank 0 to say; without it nothing goes on for long.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    from grpo_cli.config.following import follow as do_as_told

    try:
        do_as_told()
    except (RankLost, NonFinite) as error:  # rank 0 says so, if it lives
        raise typer.Exit(error.exit_code) from None
    except Exception as error:
        leave(describe(error), debug, f"process {os.environ['RANK']}: ")


def _run(words: Words, trust: bool, quiet: bool, json: bool) -> list[Record]:
    given = {key: value for key, _, value in (w.partition("=") for w in words.overrides)}
    if given.get("resume", "auto") not in ("auto", "null"):
        return [_resume(words, given, trust, quiet, json)]
    from grpo_cli.config.multirun import run

    stopped: list[Record] = []

    def job(composed: "Composed") -> Record:
        if words.sweeps and not quiet and not json:
            typer.echo(" ".join(["\njob", *composed.overrides]), err=True)
        if stopped:  # whoever stops one job of a sweep means the sweep
            return {"overrides": composed.overrides, "error": stopped[0]}
        try:
            summary = _train(composed, trust, quiet, json)
        except Exception as error:
            record = {"overrides": composed.overrides, "error": describe(error)}
            stopped.extend([record["error"]] if isinstance(error, Stopped) else [])
            return record
        return {"overrides": composed.overrides, "summary": summary}

    return run(words.flags, words.overrides, job, words.dirs)


def _resume(words: Words, given: dict[str, str], trust: bool, quiet: bool, json: bool) -> Record:
    """Go on with a run that is named; its config comes from its folder, not from Hydra."""
    if words.flags:
        raise ConfigError(
            f"resume={given['resume']} goes on with one run, without {words.flags[0]}",
            "resume=auto finds the run of each job of a sweep",
        )
    others = [w for w in words.overrides if w.partition("=")[0] not in ("resume", "resume_changes")]
    allow = given.get("resume_changes", "ask")
    Expected.of_field(everyday()["resume_changes"]).check("resume_changes", allow)
    from grpo_cli.config.explain import explained
    from grpo_cli.config.jobs import train_job
    from grpo_cli.config.resume import named_run
    from grpo_cli.sinks.view import View

    view: View = View(quiet=quiet, json=json)
    with warnings_to(view.warn):
        word, allowed = given["resume"], allow == "allow"
        with explained():
            cfg, resumed = named_run(word, others, allow=allowed, trusted=trust)
        summary = train_job(cfg, overrides=words.overrides, view=view, resumed=resumed)
    return {"overrides": words.overrides, "summary": summary}


def _train(composed: "Composed", trust: bool, quiet: bool, json: bool) -> Record:
    composed.check()
    if not trust:
        refuse_unnamed_code(composed)
    # torch is imported here: everything that words can get wrong has been answered by now.
    from grpo_cli.config.jobs import train_job
    from grpo_cli.sinks.view import View

    view: View = View(quiet=quiet, json=json)
    with warnings_to(view.warn):
        return train_job(composed.cfg, overrides=composed.overrides, view=view)


def refuse_unnamed_code(composed: "Composed", words: list[str] | None = None) -> None:
    """Import a person's own code only where this command line names it, not some config file.

    Args:
        composed: what would be trained.
        words: of the command line, where they are not those that it was composed from.
    """
    from grpo_cli.config.trust import own_code
    from grpo_cli.config.words import choices_in

    named = {choice for word in words or composed.overrides for _, choice in choices_in(word)}
    unnamed = [name for name in own_code(composed.cfg) if name not in named]
    if unnamed:
        raise ConfigError(
            f"a config file would import {', '.join(unnamed)}",
            "look at that code, then say --trust, or name it on the command line",
        )


def _report(record: Record, quiet: bool, json: bool, debug: bool) -> None:
    if "error" in record:
        leave(record["error"], debug)
    from grpo_cli.cli.closing import show_training
    from grpo_cli.cli.screen import show_json

    if json:
        show_json(record["summary"])
    elif quiet:
        typer.echo(record["summary"]["run"])
    else:
        show_training(record["summary"])


def _report_sweep(records: list[Record], json: bool, debug: bool) -> None:
    """Print every job's result, then leave with the exit code of the first that failed."""
    from grpo_cli.cli.closing import show_jobs
    from grpo_cli.cli.screen import show_json

    failed = {n: record["error"] for n, record in enumerate(records) if "error" in record}
    if json:
        show_json([_without_traceback(record) for record in records])
    else:
        show_jobs(records)
    for number, error in failed.items():
        say(error, debug, f"job {number}: ")
    if failed:
        raise typer.Exit(next(iter(failed.values()))["exit_code"])


def _without_traceback(record: Record) -> Record:
    if "error" not in record:
        return record
    error = {key: value for key, value in record["error"].items() if key != "traceback"}
    return {**record, "error": error}
