"""The two jobs of the main verbs, from a checked config to a summary."""

import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_cli import checkpoint, manifest, rundir, video
from grpo_cli.clock import timed
from grpo_cli.config import build
from grpo_cli.config.absolute import name_absolutely
from grpo_cli.config.build_env import build_env
from grpo_cli.config.built import Built, build_all, require_env, take
from grpo_cli.config.clusters import train_on_cluster
from grpo_cli.config.following import (
    Plan,
    choose_ranks,
    evaluator,
    judge,
    lead,
    met,
    score_all,
    train_all,
)
from grpo_cli.config.mending import Mender
from grpo_cli.config.reporting import make_sinks, write_report
from grpo_cli.config.resume import Resumed, same_run
from grpo_cli.config.saved import MakeRun, fill, mark, open_config
from grpo_cli.config.schema import EvalConf
from grpo_cli.config.text_jobs import opened, save_model, text_eval
from grpo_cli.config.tuning import tune
from grpo_cli.config.values import seconds
from grpo_cli.errors import CheckpointError, Stopped
from grpo_cli.evaluate import MODES, Evaluator, Mode
from grpo_cli.evaluate_run import final_scores
from grpo_cli.randomness import Use
from grpo_cli.rundir import RunFolder
from grpo_cli.runs.follow import Follower
from grpo_cli.sinks.profile import nested
from grpo_cli.sinks.view import View
from grpo_cli.stop import Stop
from grpo_cli.train import Parts, Progress
from grpo_cli.versions import versions


def train_job(
    cfg: DictConfig,
    *,
    overrides: list[str],
    view: View,
    resumed: Resumed | None = None,
    make_run: MakeRun = rundir.create,
    swept: Mapping[str, Any] | None = None,
    stop_file: Path | None = None,
) -> dict[str, Any]:
    """Train a policy and score it.

    Every part is built before the run folder is made, so a config that cannot run leaves nothing
    behind.

    Args:
        cfg: composed and checked.
        overrides: the words of the command line, kept with the run.
        view: what a person sees.
        resumed: a run to go on with; `resume=auto` looks for one itself.
        make_run: `f(env slug, name, seed)` makes the folder of a new run.
        swept: the settings in which the trials of a sweep differ.
        stop_file: where the number of a signal is written for a run on another computer.

    Returns:
        The summary that is also written to `summary.json`.

    Raises:
        GrpoError: the environment, the config or the numbers do not allow it.
        Stopped: a signal or `max_time` ended it early; what was learned is saved.
    """
    started = time.perf_counter()
    name_absolutely(cfg)
    if cfg.tune == "auto" and resumed is None:
        tune(cfg, overrides, view)
    if cfg.resume == "auto":
        resumed = same_run(cfg, view.warn)
    if cfg.cluster.get("name", "none") != "none" and "RANK" not in os.environ:
        return train_on_cluster(cfg, overrides=overrides, view=view, resumed=resumed)
    profiled, cfg.tune = cfg.profile, "none"
    # Words of this command, not of the run.
    cfg.resume, cfg.resume_changes, cfg.profile = None, "ask", False
    words = build.plain(cfg)
    stop, ranks = Stop(view.notice, stop_file), choose_ranks(words)
    cfg.processes = words["processes"]
    with ExitStack() as company, ExitStack() as stack:
        clock = nested(words["device"]) if profiled else None
        if clock is not None:
            stack.enter_context(timed(clock))  # before anything takes hold of a marked function
        built = build_all(words, view, ranks)
        stack.callback(built.backend.close)
        at = None if resumed is None else built.load(resumed.saved, resumed.path)
        if at is not None and resumed is not None and "stop_at" in resumed.changed:
            at.reached = False
        company.enter_context(met(ranks))
        run = (
            fill(make_run, cfg, words, built.source, overrides) if resumed is None else resumed.run
        )
        stack.callback(run.discard_if_empty)
        stack.enter_context(run.alone())
        if resumed is not None and at is not None:
            _take_up(cfg, resumed, at, overrides, view)
        past = Follower(run.path)
        before = past.read() if resumed is not None else []
        sinks = make_sinks(cfg, words, run, built, view, at, before, clock, swept)
        for sink in sinks:
            stack.callback(sink.close)
        checks = evaluator(built, Use.CHECK)
        stack.callback(checks.close)
        lead(ranks, _plan(words, run, at, resumed))
        parts = _parts(built, run, checks, sinks, view, stop)
        with stop.listen(seconds(words["max_time"])):
            at = train_all(built, parts, at)
        stack.close()
        stopped = stop.why and not at.reached and at.steps < words["total_steps"]
        if ranks.decide(bool(stopped)):
            write_report(run, view)
            raise _stopped(stop, run, at)
        trained = past.seconds + time.perf_counter() - at.started
        with run.alone():  # who watches from elsewhere sees that it goes on
            summary = _summary(words, built, run, at, trained)
    if profiled:
        summary["profile"] = run.read_json("profile.json") if run.has("profile.json") else None
    summary["wall_s"] = past.seconds + time.perf_counter() - started
    run.write_json("summary.json", summary)
    write_report(run, view)
    return summary


def _parts(
    built: Built, run: RunFolder, checks: Evaluator, sinks: list[Any], view: View, stop: Stop
) -> Parts:
    """Put together what the loop needs."""

    def save(at: Progress, best: bool) -> Path:
        content = built.checkpoint(at, run.synced_size("metrics.jsonl"))
        keep = built.words["checkpoint"]["keep"]
        return checkpoint.save(
            run.checkpoints, at.steps, content, keep=keep, best=best, anchor=at.anchor
        )

    return Parts(
        policy=built.policy,
        sampler=built.sampler,
        score=built.score,
        learn=built.learner,
        judge=judge(built, checks),
        save=save,
        sinks=sinks,
        warn=view.warn,
        mend=Mender(built, run, view.warn),
        stop=stop,
        ranks=built.ranks,
    )


def _plan(
    words: dict[str, Any], run: RunFolder, at: Progress | None, resumed: Resumed | None
) -> Plan:
    """Say what the other ranks are to do."""
    saved, path = (None, None) if resumed is None else (resumed.saved, resumed.path)
    return Plan(words, run.path.absolute(), str(Path.cwd()), tuple(sys.path), at, saved, path)


def _take_up(
    cfg: DictConfig, resumed: Resumed, at: Progress, overrides: list[str], view: View
) -> None:
    """Put a run folder back to where its checkpoint was made, and note that it is gone on with."""
    run, facts = resumed.run, resumed.saved.facts
    view.notice(f"going on with {run.path} at {at.steps:,} env steps, update {at.update:,}")
    before = facts.get("versions")
    if before != versions():
        view.warn(f"this run was made with {before}: the same numbers are not promised")
    try:
        for name in checkpoint.take_up(run.checkpoints, resumed.path, at.best_step):
            view.warn(f"{run.checkpoints / name}: newer than what this run goes on from, renamed")
        if not run.cut("metrics.jsonl", int(facts["metrics_bytes"])):
            view.warn(f"{run.path}/metrics.jsonl has a gap: lines from before the checkpoint")
        (run.path / "summary.json").unlink(missing_ok=True)
        meta = run.read_json("meta.json")
        meta["resumed"] = [
            *meta.get("resumed", []),
            {"steps": at.steps, "at": datetime.now(UTC).isoformat(), "words": overrides},
        ]
        if resumed.changed:
            text = OmegaConf.to_yaml(cfg, resolve=False)
            run.write("config.yaml", text)
            meta |= mark(text, cfg)
        run.write_json("meta.json", meta)
    except OSError as error:
        raise CheckpointError(
            f"{run.path} cannot be gone on with: {error.strerror or error}",
            "free some space, or mend the folder's permissions",
        ) from error


def _stopped(stop: Stop, run: RunFolder, at: Progress) -> Stopped:
    if not at.update:
        return Stopped(f"{stop.why} before the first update", exit_code=stop.exit_code)
    return Stopped(
        f"{stop.why} at {at.steps:,} env steps; all of it is saved",
        f"grpo train resume={run.path} goes on",
        stop.exit_code,
    )


def eval_job(conf: EvalConf, *, view: View, trusted: bool) -> dict[str, Any]:
    """Score a saved policy on its environment, from the run folder alone.

    Args:
        conf: which checkpoint, how many episodes, which modes.
        view: what a person sees.
        trusted: code that the run names may be imported.

    Returns:
        ckpt, env, threshold, seed, the scores of each mode, and the video's path or None.

    Raises:
        CheckpointError: the run or checkpoint is missing, damaged, untrusted or of another env.
        GrpoError: a video is asked for and cannot be made; said before an episode is played.
    """
    if conf.ckpt.endswith(".onnx"):
        from grpo_cli.config.exporting import onnx_eval

        return onnx_eval(conf, view=view, trusted=trusted)
    if (what := opened(conf.ckpt, conf.env, conf.device, trusted)) is not None:
        return text_eval(what, conf, view=view)
    film = None if conf.video is None else video.plan(conf.video)
    run, path = rundir.find(conf.ckpt)
    named = set() if conf.env is None else {build.absolute(conf.env)}
    cfg = open_config(run, trusted=trusted, named=named)
    if named and cfg.env.id not in named:
        raise CheckpointError(
            f"{path} was made for {cfg.env.id}, not for {conf.env}",
            f"leave out env=, or give a checkpoint of {conf.env}",
        )
    saved = checkpoint.load(path)
    words = build.plain(cfg)
    source = build_env(words)
    require_env(saved, path, source)
    policy = build.build_policy(words, source, build.build_device(conf.device))
    take(policy, saved, path, source)
    seed = words["seed"] if conf.seed is None else conf.seed
    final = Evaluator(source, seed, Use.FINAL, words["backend"].get("timeout_s"))
    modes = MODES if conf.mode == "both" else (conf.mode,)
    if film is not None:
        video.check_renders(source)
        shown: Mode = "sampled" if conf.mode == "sampled" else "greedy"
        view.notice(f"{path}: filming {conf.video_episodes} of its {shown} episodes")
        count = conf.video_episodes
        video.record(film, source, policy, seed=seed, mode=shown, episodes=count)
    view.notice(f"{path}: {conf.episodes} episodes of {source.id}, {' and '.join(modes)}")
    try:
        scores = final_scores(final, policy, conf.episodes, modes)  # type: ignore[arg-type]
    finally:
        final.close()
    return {
        "ckpt": str(path),
        "env": source.id,
        "threshold": source.reward_threshold,
        "seed": seed,
        "eval": scores,
        "video": None if film is None else str(film),
    }


def _summary(
    words: dict[str, Any], built: Built, run: RunFolder, at: Progress, trained_s: float
) -> dict[str, Any]:
    scores = score_all(built)
    model = {"model": str(save_model(built.policy, run.path / "model"))} if built.speaks else {}
    worst = min(score["mean"] for score in scores.values())
    return {
        "run": str(run.path),
        "env": built.source.id,
        "solved": None if built.stop_at is None else worst >= built.stop_at,
        "stop_at": built.stop_at,
        "env_steps": at.steps,
        "updates": at.update,
        "train_s": trained_s,
        "fps": at.steps / trained_s,
        "seed": words["seed"],
        "checkpoint": str(run.checkpoints / manifest.name(at.steps)),
        "eval": scores,
        **model,
    }
