"""`grpo eval`, `grpo play` and `grpo export` of a language model."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from grpo_cli import advantages, checkpoint, rundir
from grpo_cli.config import build
from grpo_cli.config.asks import ExportConf, PlayConf
from grpo_cli.config.build_text import (
    build_text_env,
    build_text_policy,
    build_text_reward,
    pays,
    speaks,
    text_evaluator,
)
from grpo_cli.config.built import require_env, take
from grpo_cli.config.saved import open_config
from grpo_cli.config.schema import EvalConf
from grpo_cli.envs import EnvSource
from grpo_cli.errors import ConfigError, GrpoError
from grpo_cli.evaluate import MODES
from grpo_cli.evaluate_run import final_scores
from grpo_cli.policies import Policy
from grpo_cli.randomness import Use
from grpo_cli.reward_functions import weighted
from grpo_cli.rollout import Floats, Rollout
from grpo_cli.sinks.view import View


@dataclass(frozen=True)
class Opened:
    """A saved language model with all that scores it."""

    path: Path
    run: rundir.RunFolder
    words: dict[str, Any]
    asks: Any
    source: EnvSource
    policy: Policy
    reward: weighted


def opened(ckpt: str, env: str | None, device: str, trusted: bool) -> Opened | None:
    """Open a checkpoint; None where its run is not about words.

    Reward functions of its own are needed for scores, and imported where they are trusted.

    Raises:
        GrpoError: the run cannot be used.
    """
    run, path = rundir.find(ckpt)
    named = set() if env is None else {build.absolute(env)}
    cfg = open_config(run, trusted=trusted, named=named)
    words = build.plain(cfg)
    if not speaks(words):
        return None
    words = build.plain(open_config(run, trusted=trusted, named=named, to_train=True))
    saved = checkpoint.load(path)
    asks, source = build_text_env(words)
    require_env(saved, path, source)
    place = build.build_device(device)
    reward = build_text_reward(words, place, pays(asks))
    policy = build_text_policy(words, place)
    take(policy, saved, path, source)
    return Opened(path, run, words, asks, source, policy, reward)


def text_eval(what: Opened, conf: EvalConf, *, view: View) -> dict[str, Any]:
    """Score a language model; see `jobs.eval_job`.

    Returns:
        The same, and for sampled answers pass@1, pass@k and the share that was cut off.

    Raises:
        ConfigError: it is to be filmed.
    """
    from grpo_cli.text.evaluate import pass_at_k

    if conf.video is not None:
        raise ConfigError("words are not filmed", "grpo play prints answers side by side")
    seed = what.words["seed"] if conf.seed is None else conf.seed
    words = {**what.words, "seed": seed}
    modes: Any = MODES if conf.mode == "both" else (conf.mode,)
    found: Any = text_evaluator(words, what.asks, what.reward, Use.FINAL, pass_at=conf.pass_at)
    view.notice(f"{what.path}: {conf.episodes} prompts of {what.source.id}, {' and '.join(modes)}")
    scores = final_scores(found, what.policy, conf.episodes, modes)
    for mode in modes:
        k = conf.k if mode == "sampled" else 1
        rollout = found.answered(what.policy, conf.episodes, k, mode)
        worth, length, passed = found.judged(rollout)
        right = np.bincount(rollout.group, passed).astype(np.int64)
        scores[mode] |= {
            "k": k,
            "pass_at_1": pass_at_k(right, k, 1),
            "pass_at_k": pass_at_k(right, k, k),
            "mean_reward": float(worth.mean()),
            "mean_length": float(length.mean()),
            "truncated_frac": float(rollout.truncated.mean()),
        }
    return {
        "ckpt": str(what.path), "env": what.source.id, "threshold": None, "seed": seed,
        "eval": scores, "video": None,
    }  # fmt: skip


def text_play(what: Opened, conf: PlayConf, *, view: View) -> dict[str, Any]:
    """Answer one prompt several times; see `playing.play_job`.

    Returns:
        The same, with the prompt, and of each answer its text, reward and advantage.

    Raises:
        ConfigError: it is to be filmed.
    """
    if conf.out != "terminal":
        raise ConfigError("words are not filmed", "leave out out=")
    seed = what.words["seed"] if conf.seed is None else conf.seed
    found: Any = text_evaluator({**what.words, "seed": seed}, what.asks, what.reward, Use.FINAL)
    numbers = range(conf.start, conf.start + 1)
    rollout = found.answered(what.policy, conf.start + 1, conf.members, conf.mode, numbers)
    worth, length, _ = found.judged(rollout)
    talks = list(rollout.context)
    advantage = advantages_of(what.words, rollout, what.reward)
    return {
        "ckpt": str(what.path),
        "env": what.source.id,
        "out": "terminal",
        "mode": conf.mode,
        "returns": worth.tolist(),
        "lengths": length.tolist(),
        "prompt": _transcript([talks[0].prompt], []),
        "answers": [_transcript(t.asked[1:], t.said[1:], t.said[0]) for t in talks],
        "advantages": advantage.tolist(),
    }


def advantages_of(words: dict[str, Any], rollout: Rollout, reward: weighted) -> Floats:
    """Return what training would make of members of one group, mean over their tokens, [M]."""
    from grpo_cli.text.turns import by_turn

    node = words["advantage"]
    if node.get("baseline") == "greedy":  # nobody here acts greedily beside the others
        node = {**node, "baseline": "mean"}
    paid = replace(rollout, group=np.zeros_like(rollout.group))
    advantage = by_turn(build.component(advantages, node))
    estimate: Any = advantage(paid, reward(paid).total, words["gamma"])
    row = getattr(estimate, "advantage", estimate)
    return paid.per_member(row) / np.bincount(paid.member)


def _transcript(asked: Iterable[Any], said: Iterable[str], first: str = "") -> str:
    """Write a conversation as lines: what was said first, then questions and answers."""
    from grpo_cli.text.policy import as_text

    lines = [first] if first else []
    answers = iter(said)
    for question in asked:
        lines += [f"> {as_text(question).rstrip()}" if first else as_text(question).rstrip()]
        lines += [answer] if (answer := next(answers, None)) is not None else []
    return "\n".join(lines)


def text_export(what: Opened, conf: ExportConf, *, view: View) -> dict[str, Any]:
    """Write a folder that transformers, or PEFT for an adapter, loads; see `exporting.export_job`.

    Raises:
        ConfigError: another format is asked for.
        GrpoError: it cannot be written.
    """
    if conf.format != "hf":
        raise ConfigError(f"format={conf.format} is for small networks", "write format=hf")
    out = Path(conf.out) if conf.out else what.run.path / "model"
    view.notice(f"writing {out}")
    try:
        save_model(what.policy, out)
    except OSError as error:
        raise GrpoError(f"{out} cannot be written: {error.strerror or error}") from error
    return {"out": str(out), "format": "hf", "ckpt": str(what.path), "env": what.source.id}


def save_model(policy: Policy, folder: Path) -> Path:
    """Write a language model, or its adapter, and its tokenizer.

    Raises:
        OSError: it cannot be written.
    """
    from grpo_cli.text.policy import TextPolicy

    return cast("TextPolicy", policy).speaker.save(folder)
