"""`cluster=ray|slurm`: the same training, on other computers."""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_cli import checkpoint, rundir
from grpo_cli.cluster import Order, Outcome, supervise
from grpo_cli.config import build
from grpo_cli.config.absolute import name_absolutely
from grpo_cli.config.resume import Resumed
from grpo_cli.config.schema import TrainConf
from grpo_cli.errors import GrpoError, RankLost
from grpo_cli.sinks.view import View


def train_on_cluster(
    cfg: DictConfig, *, overrides: list[str], view: View, resumed: Resumed | None
) -> dict[str, Any]:
    """Train on a cluster; see `jobs.train_job`.

    Raises:
        GrpoError: rank 0's, or the cluster was lost too often.
    """
    name_absolutely(cfg)
    cfg.resume, cfg.resume_changes, cfg.tune = None, "ask", "none"
    words = build.plain(cfg)
    settings, processes = words["cluster"], words["processes"]
    rundir.ROOT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".order-", dir=rundir.ROOT) as folder:
        order = Order(
            config=OmegaConf.to_yaml(cfg, resolve=False),
            words=tuple(overrides),
            folder=str(Path.cwd()),
            places=tuple(path for path in sys.path if path),
            note=str(Path(folder, "run").absolute()),
            quiet=view.silent,
            resume=None if resumed is None else str(resumed.path.absolute()),
            changed=() if resumed is None else resumed.changed,
        )
        with _passing_on(_stop_file(order), view):
            outcome = _supervised(order, processes, settings, view)
    if outcome.error is not None:
        what, fix, code = outcome.error
        error = GrpoError(what, fix)
        error.exit_code = code
        raise error
    return outcome.summary or {}


def _stop_file(order: Order) -> Path:
    """Return where rank 0 finds the number of a signal that came here."""
    return Path(order.note).with_name("stop")


@contextmanager
def _passing_on(file: Path, view: View) -> Iterator[None]:
    """Hand Ctrl-C and SIGTERM to rank 0, which saves and ends; a second one ends the wait for it.

    In another thread than the main one signals cannot be heard.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hear(number: int, frame: FrameType | None) -> None:
        if file.exists():
            raise KeyboardInterrupt
        fresh = file.with_suffix(".new")  # rank 0 reads a whole number or none
        fresh.write_text(str(int(number)))
        fresh.replace(file)
        view.notice("asked to save and stop; asked again, it is left where it stands")

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, hear) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _supervised(order: Order, processes: int, settings: dict[str, Any], view: View) -> Outcome:
    run = partial(supervise, order=order, max_failures=settings["max_failures"], say=view.warn)
    if settings["name"] == "slurm":
        from grpo_cli.cluster import on_slurm

        return run(on_slurm.attempt(work, processes, settings, view.notice))
    from grpo_cli.cluster import on_ray

    with on_ray.ray_cluster(settings["address"]) as ray:
        return run(on_ray.attempt(ray, work, processes, settings, view.notice))


def work(order: Order) -> Outcome:
    """Be one of the ranks of a training, in a process that a cluster has started."""
    os.chdir(order.folder)
    sys.path += [place for place in order.places if place not in sys.path]
    from grpo_cli.config.following import follow

    try:
        if os.environ["RANK"] != "0":
            follow()
            return Outcome()
        return Outcome(summary=_lead(order))
    except RankLost:
        return Outcome(lost=True)
    except GrpoError as error:
        return Outcome(error=(error.what, error.fix, error.exit_code))


def _lead(order: Order) -> dict[str, Any]:
    from grpo_cli.config.jobs import train_job

    cfg = OmegaConf.merge(OmegaConf.structured(TrainConf), OmegaConf.create(order.config))
    resumed = None
    if order.resume is not None:
        run, path = rundir.find_to_resume(order.resume)
        resumed = Resumed(run, path, checkpoint.load(path), order.changed)
    cfg.processes = int(os.environ["WORLD_SIZE"])
    note = Path(order.note)  # of the run folder, for whoever has to go on with it
    if resumed is not None:
        note.write_text(str(resumed.run.path.absolute()))

    def make_run(slug: str, name: str, seed: int) -> rundir.RunFolder:
        run = rundir.create(slug, name, seed)
        note.write_text(str(run.path.absolute()))
        return run

    return train_job(
        cfg,  # type: ignore[arg-type]
        overrides=list(order.words),
        view=View(quiet=order.quiet),
        resumed=resumed,
        make_run=make_run,
        stop_file=_stop_file(order),
    )
