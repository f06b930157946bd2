"""One run of a sweep's trial, from its words."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grpo_cli import manifest, rundir
from grpo_cli.config.compose import compose_all
from grpo_cli.config.jobs import train_job
from grpo_cli.config.resume import named_run
from grpo_cli.rundir import RunFolder
from grpo_cli.sinks.view import View


def train_trial(
    job: dict[str, Any], folder: Path, view: View, gone_on: Callable[[], None]
) -> dict[str, Any]:
    """Train, or go on with a run that was interrupted.

    Args:
        job: words; dirs; trusted; swept, the keys that vary.
        folder: of the run.
        view: what a person sees.
        gone_on: called before a run is gone on with.

    Returns:
        The summary of the run.

    Raises:
        GrpoError: what `grpo train` would say.
    """
    run = RunFolder(folder)
    if run.has("summary.json"):  # it ended, and nobody lived to hear of it
        gone_on()
        return run.read_json("summary.json")
    if manifest.saved(run.checkpoints):
        cfg, resumed = named_run(str(folder), [], allow=False, trusted=job["trusted"])
        gone_on()
        return train_job(cfg, overrides=job["words"], view=view, resumed=resumed)
    composed = compose_all(job["words"], job["dirs"])
    composed.check()
    if folder.exists():
        with run.alone():  # who began it may not quite be dead
            shutil.rmtree(folder)
    return train_job(
        composed.cfg, overrides=composed.overrides, view=view,
        make_run=lambda *_: rundir.create_at(folder), swept=job["swept"],
    )  # fmt: skip
