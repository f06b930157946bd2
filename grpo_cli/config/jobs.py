"""The two jobs of the main verbs, from a checked config to a summary."""

import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_cli import checkpoint, rundir, video
from grpo_cli.checkpoint import Checkpoint, optimizer_tensors
from grpo_cli.config import build
from grpo_cli.config.build_lookahead import MODES as LOOK_AHEAD
from grpo_cli.config.build_lookahead import build_lookahead
from grpo_cli.config.build_reward import build_reward
from grpo_cli.config.learner import absolute_reference, build_learner
from grpo_cli.config.saved import mark, open_config
from grpo_cli.config.schema import EvalConf, is_own
from grpo_cli.envs import EnvSource
from grpo_cli.errors import CheckpointError, ConfigError
from grpo_cli.evaluate import MODES, Evaluator, Mode
from grpo_cli.evaluate_run import final_scores
from grpo_cli.learner import Learner
from grpo_cli.policies import Policy
from grpo_cli.randomness import Use
from grpo_cli.rundir import RunFolder
from grpo_cli.sinks import Jsonl, Sink, TensorBoard
from grpo_cli.sinks.view import Facts, View
from grpo_cli.train import Parts, Progress, train

PARTS_WITH_CODE = (
    "group", "reward", "reward_scaling", "advantage", "loss", "kl", "entropy", "policy"
)  # fmt: skip


def train_job(cfg: DictConfig, *, overrides: list[str], view: View) -> dict[str, Any]:
    """Train a policy and score it.

    Every part is built before the run folder is made, so a config that cannot run leaves nothing
    behind.

    Args:
        cfg: composed and checked.
        overrides: the words of the command line, kept with the run.
        view: what a person sees.

    Returns:
        The summary that is also written to `summary.json`.

    Raises:
        GrpoError: the environment, the config or the numbers do not allow it.
    """
    started = time.perf_counter()
    _name_absolutely(cfg)
    words = build.plain(cfg)
    build.check_own(words)
    reward = build_reward(words)
    device = build.build_device(words["device"])
    source = build.build_env(words)
    policy = build.build_policy(words, source, device)
    if words["group"]["name"] in LOOK_AHEAD:
        sampler, backend = build_lookahead(words, source, view)
    else:
        sampler, backend = build.build_sampler(words, source, view, reward)
    learner = build_learner(words, policy, source, view.warn)
    score, scaling = build.build_score(words, reward, learner.survey)
    stop_at = build.stopping_return(words, source)
    state = getattr(scaling, "state", None)
    judge = Evaluator(source, words["seed"], Use.CHECK)
    episodes = words["eval"]["episodes"], words["eval"]["final_episodes"]

    run = _make_run(cfg, words, source, overrides)
    sinks = _sinks(cfg, words, run, source, view, backend.name, stop_at)

    def save(steps: int, update: int, best: bool) -> Path:
        facts = {
            "env": source.id,
            "steps": steps,
            "update": update,
            **learner.state(),
            "reward_scaling": state() if callable(state) else None,
        }
        content = Checkpoint(policy.state_dict(), _state_tensors(learner), facts)
        keep = words["checkpoint"]["keep"]
        return checkpoint.save(run.checkpoints, steps, content, keep=keep, best=best)

    parts = Parts(
        policy=policy,
        sampler=sampler,
        score=score,
        learn=learner,
        judge=lambda policy, mode, thorough: judge.scores(policy, episodes[thorough], mode),
        save=save,
        sinks=sinks,
        warn=view.warn,
    )
    try:
        at = train(
            parts,
            total_steps=words["total_steps"],
            stop_at=stop_at,
            eval_every=words["eval_every"],
            save_every=words["save_every"],
        )
    finally:
        for sink in sinks:
            sink.close()
        judge.close()
        backend.close()
        run.discard_if_empty()
    trained = time.perf_counter() - at.started
    summary = _summary(words, source, run, at, trained, stop_at, policy)
    summary["wall_s"] = time.perf_counter() - started
    run.write_json("summary.json", summary)
    return summary


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
    source = build.build_env(words)
    _require_env(saved, path, source)
    policy = build.build_policy(words, source, build.build_device(conf.device))
    _take(policy, saved, path, source)
    seed = words["seed"] if conf.seed is None else conf.seed
    evaluator = Evaluator(source, seed, Use.FINAL)
    modes = MODES if conf.mode == "both" else (conf.mode,)
    if film is not None:
        video.check_renders(source)
        shown: Mode = "sampled" if conf.mode == "sampled" else "greedy"
        view.notice(f"{path}: filming {conf.video_episodes} of its {shown} episodes")
        count = conf.video_episodes
        video.record(film, source, policy, seed=seed, mode=shown, episodes=count)
    view.notice(f"{path}: {conf.episodes} episodes of {source.id}, {' and '.join(modes)}")
    try:
        scores = final_scores(evaluator, policy, conf.episodes, modes)  # type: ignore[arg-type]
    finally:
        evaluator.close()
    return {
        "ckpt": str(path),
        "env": source.id,
        "threshold": source.reward_threshold,
        "seed": seed,
        "eval": scores,
        "video": None if film is None else str(film),
    }


def _name_absolutely(cfg: DictConfig) -> None:
    """Let every file named in the config be found from any folder later on."""
    cfg.env.id = build.absolute(cfg.env.id)
    for part in PARTS_WITH_CODE:
        cfg[part].name = build.absolute(cfg[part].name)
    if "functions" in cfg.reward and not is_own(cfg.reward.name):
        cfg.reward.functions = [build.absolute(name) for name in cfg.reward.functions]
    if "reference" in cfg.kl:
        cfg.kl.reference = absolute_reference(cfg.kl.reference)


def _make_run(
    cfg: DictConfig, words: dict[str, Any], source: EnvSource, overrides: list[str]
) -> RunFolder:
    """Make the run folder and what identifies it; a folder that cannot be filled is removed."""
    run = rundir.create(source.slug, words["name"], words["seed"])
    text = OmegaConf.to_yaml(cfg, resolve=False)
    meta = rundir.metadata(source.id, words["seed"])
    meta |= mark(text, cfg)
    try:
        run.write("config.yaml", text)
        run.write("overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(list(overrides))))
        run.write_json("meta.json", meta)
    except OSError as error:
        run.discard_if_empty()
        raise ConfigError(
            f"{run.path} cannot be written: {error.strerror or error}",
            "free some space, or run grpo in another folder",
        ) from error
    return run


def _sinks(
    cfg: DictConfig,
    words: dict[str, Any],
    run: RunFolder,
    source: EnvSource,
    view: View,
    backend: str,
    stop_at: float | None,
) -> list[Sink]:
    sinks: list[Sink] = [Jsonl(run.path / "metrics.jsonl")]
    if "tensorboard" in words["sinks"]:
        text = OmegaConf.to_yaml(cfg, resolve=False)
        sinks.append(TensorBoard(run.path, text, _flat(words), words["log_every"]))
    facts = Facts(
        env=source.id,
        run=str(run.path),
        total_steps=words["total_steps"],
        stop_at=stop_at,
        seed=words["seed"],
        group_size=words["group_size"],
        num_groups=words["num_groups"],
        backend=backend,
        epochs=words["epochs"],
        horizon=words["group"].get("horizon"),
    )
    return [*sinks, view.training(facts)]


def _flat(node: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested words to `loss.eps_low`, values that are no number or flag to text."""
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            simple = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{key}"] = value if simple else str(value)
    return flat


def _state_tensors(learner: Learner) -> dict[str, Any]:
    tensors = optimizer_tensors(learner.optimizer)
    if learner.reference is not None:
        reference = learner.reference.state_dict()
        tensors |= {f"reference/{name}": tensor for name, tensor in reference.items()}
    return tensors


def _require_env(saved: Checkpoint, path: Path, source: EnvSource) -> None:
    """Refuse weights that were trained elsewhere: they may fit, and mean nothing here."""
    made_for = saved.facts.get("env", source.id)
    if made_for != source.id:
        raise CheckpointError(
            f"{path} was made for {made_for}, its run's config.yaml says {source.id}",
            "use the checkpoint in the run folder it was trained in",
        )


def _take(policy: Policy, saved: Checkpoint, path: Path, source: EnvSource) -> None:
    """Load the weights; they must be exactly those of the policy the config describes."""
    try:
        policy.load_state_dict(saved.policy)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} does not fit the policy and {source.id} of its config",
            "the run's config.yaml or the environment's spaces have changed since",
        ) from error


def _summary(
    words: dict[str, Any],
    source: EnvSource,
    run: RunFolder,
    at: Progress,
    trained_s: float,
    stop_at: float | None,
    policy: Policy,
) -> dict[str, Any]:
    evaluator = Evaluator(source, words["seed"], Use.FINAL)
    scores = final_scores(evaluator, policy, words["eval"]["final_episodes"], MODES)
    evaluator.close()
    worst = min(score["mean"] for score in scores.values())
    return {
        "run": str(run.path),
        "env": source.id,
        "solved": None if stop_at is None else worst >= stop_at,
        "stop_at": stop_at,
        "env_steps": at.steps,
        "updates": at.update,
        "train_s": trained_s,
        "fps": at.steps / trained_s,
        "seed": words["seed"],
        "checkpoint": str(run.checkpoints / f"step-{at.steps:09d}"),
        "eval": scores,
    }
