"""One training in several processes: rank 0 composes, decides and writes, the others follow."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from grpo_cli.checkpoint import Checkpoint
from grpo_cli.config.built import Built, build_all
from grpo_cli.config.combinations import check_processes
from grpo_cli.config.mending import Mender
from grpo_cli.errors import ConfigError
from grpo_cli.evaluate import MODES, Evaluator
from grpo_cli.evaluate_run import final_scores
from grpo_cli.randomness import Use
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rundir import RunFolder
from grpo_cli.sinks.view import View
from grpo_cli.train import Judge, Parts, Progress, train

if TYPE_CHECKING:
    from grpo_cli.distributed import World


@dataclass(frozen=True)
class Plan:
    """What rank 0 hands to the others.

    Attributes:
        words: the whole config, plain.
        run: the run folder, in which rank 0 alone writes.
        folder: where the command was typed.
        places: where Python finds modules of the person's own.
        at: where a resumed run stands.
        saved: the checkpoint it goes on from.
        path: its name.
    """

    words: dict[str, Any]
    run: Path
    folder: str
    places: tuple[str, ...]
    at: Progress | None
    saved: Checkpoint | None
    path: Path | None


def choose_ranks(words: dict[str, Any]) -> Ranks:
    """Return the processes that are to train together; they have not met yet.

    Where a launcher such as torchrun started this process, theirs is the number.

    Raises:
        ConfigError: `processes` says another number, or so many cannot do what is asked for.
    """
    if words["processes"] == 1 and "WORLD_SIZE" not in os.environ:
        return ALONE
    from grpo_cli.distributed import World
    from grpo_cli.launch import given

    launched = given()
    size = words["processes"] if launched is None else launched[1]
    if launched is not None and words["processes"] not in (1, size):
        raise ConfigError(
            f"processes={words['processes']}, and {size} were started",
            "leave out processes= where torchrun starts them",
        )
    check_processes(size, words)
    words["processes"] = size
    return World(0, size) if size > 1 else ALONE


@contextmanager
def met(ranks: Ranks) -> Iterator[None]:
    """Be rank 0 of several until the block ends, starting the others unless a launcher did."""
    if ranks is ALONE:
        yield
        return
    from grpo_cli.launch import given, joined, started

    several = cast("World", ranks)
    with joined(several) if given() else started(several):
        yield


def lead(ranks: Ranks, plan: Plan) -> None:
    """Hand the plan to the others."""
    if ranks.size > 1:
        ranks.decide(plan)


def follow() -> None:
    """Do what rank 0 says until it has nothing more to say.

    Raises:
        GrpoError: this process cannot go on, or another one is gone.
    """
    from grpo_cli.distributed import World
    from grpo_cli.launch import given, joined

    rank, size = given() or (0, 1)
    ranks = World(rank, size)
    with joined(ranks):
        plan: Plan | None = ranks.decide(None)
        if plan is not None:
            _follow(plan, ranks)


def _follow(plan: Plan, ranks: "World") -> None:
    if os.path.isdir(plan.folder):
        os.chdir(plan.folder)
    sys.path += [place for place in plan.places if place not in sys.path]
    view = View(quiet=True).of_rank(ranks.rank)
    built = build_all(plan.words, view.hushed(), ranks)
    try:
        if plan.saved is not None and plan.path is not None:
            built.load(plan.saved, plan.path)
        checks = evaluator(built, Use.CHECK)
        parts = Parts(
            policy=built.policy,
            sampler=built.sampler,
            score=built.score,
            learn=built.learner,
            judge=judge(built, checks),
            save=lambda *_: None,
            sinks=[],
            warn=view.warn,
            mend=Mender(built, RunFolder(plan.run), view.warn),
            ranks=ranks,
        )
        train_all(built, parts, plan.at)
        checks.close()
        if not ranks.decide(False):
            score_all(built)
    finally:
        built.backend.close()


def train_all(built: Built, parts: Parts, at: Progress | None) -> Progress:
    """Train as the words say."""
    words = built.words
    return train(
        parts,
        total_steps=words["total_steps"],
        stop_at=built.stop_at,
        eval_every=words["eval_every"],
        save_every=words["save_every"],
        at=at,
    )


def evaluator(built: Built, use: Use) -> Evaluator:
    """Play where the training does: in worker processes if they were asked for."""
    if built.evaluator is not None:
        return built.evaluator(use)
    timeout_s = built.words["backend"].get("timeout_s")
    return Evaluator(built.source, built.words["seed"], use, timeout_s, built.ranks)


def judge(built: Built, checks: Evaluator) -> Judge:
    """Return the checks that may stop a run."""
    node = built.words["eval"]
    episodes = node["episodes"], node["final_episodes"]
    return lambda policy, thorough: checks.scores(policy, episodes[thorough], *MODES)


def score_all(built: Built) -> dict[str, dict[str, Any]]:
    """Score what was learned, in both modes; every rank plays its share of the episodes."""
    final = evaluator(built, Use.FINAL)
    try:
        return final_scores(final, built.policy, built.words["eval"]["final_episodes"], MODES)
    finally:
        final.close()
