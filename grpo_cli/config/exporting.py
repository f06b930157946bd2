"""`grpo export`, and evaluating what it has written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from grpo_cli import checkpoint, rundir
from grpo_cli import export as exports
from grpo_cli.config import build, trust
from grpo_cli.config.asks import ExportConf
from grpo_cli.config.build_env import build_env
from grpo_cli.config.built import require_env, take
from grpo_cli.config.saved import open_config, parsed
from grpo_cli.config.schema import EvalConf, TrainConf, is_own
from grpo_cli.config.text_jobs import opened, text_export
from grpo_cli.errors import CheckpointError, ConfigError, GrpoError
from grpo_cli.evaluate import MODES, Evaluator
from grpo_cli.evaluate_run import final_scores
from grpo_cli.export.check import tensors_of
from grpo_cli.export.runtime import AsItIs, open_session
from grpo_cli.randomness import Use
from grpo_cli.sinks.view import View

# Of the config, what acting needs: enough to make the environment and its actions.
ACTING = ("env", "policy", "seed", "backend", "gamma")


def export_job(conf: ExportConf, *, view: View, trusted: bool) -> dict[str, Any]:
    """Export a saved policy, and compare the file with it.

    Args:
        conf: what, as what, where to.
        view: what a person sees.
        trusted: code that the run names may be imported.

    Returns:
        out, format, ckpt, env, what `export.compare` found, and url where it was uploaded.

    Raises:
        GrpoError: the run cannot be used, a package is missing, or the file does not do the same.
    """
    if conf.repo is not None and conf.format != "hub":
        raise ConfigError(f"repo={conf.repo} is for the Hub", "add format=hub, or leave it out")
    if (speaker := opened(conf.ckpt, conf.env, "cpu", trusted)) is not None:
        return text_export(speaker, conf, view=view)
    if conf.format == "hf":
        raise ConfigError("format=hf is for language models", "write format=hub")
    logged_in = conf.repo is not None and exports.token() is not None
    run, path = rundir.find(conf.ckpt)
    named = set() if conf.env is None else {build.absolute(conf.env)}
    cfg = open_config(run, trusted=trusted, named=named)
    saved = checkpoint.load(path)
    words = build.plain(cfg)
    source = build_env(words)
    require_env(saved, path, source)
    policy = build.build_policy(words, source, build.build_device("cpu"))
    take(policy, saved, path, source)
    out = Path(conf.out) if conf.out else run.path / exports.FORMATS[conf.format][0]
    if not out.parent.is_dir():
        raise ConfigError(f"there is no folder {out.parent}", f"mkdir -p {out.parent}")
    deployed = exports.Deployed(policy, source)
    view.notice(f"{path}: visiting states of {source.id}")
    states = exports.visited(source, policy, words["seed"])
    example = deployed.example(tensors_of(states[0][1][:2]))
    facts = _facts(run, path.name, saved, cfg, source.id)
    what = exports.Exported(policy, deployed, example, facts, run.path)
    view.notice(f"writing {out}")
    try:
        found = exports.export(
            what, conf.format, out,
            lambda file: exports.compare(file, conf.format, policy, source, states),
        )  # fmt: skip
    except OSError as error:
        raise GrpoError(f"{out} cannot be written: {error.strerror or error}") from error
    url = None
    if conf.repo is not None and logged_in:
        view.notice(f"uploading {out} to {conf.repo}")
        url = exports.upload(out, conf.repo, private=conf.private)
    elif conf.repo is not None:
        view.warn(f"not uploaded to {conf.repo}: there is no token ({exports.LOGIN})")
    return {
        "out": str(out), "format": conf.format, "ckpt": str(path), "env": source.id, **found,
        "url": url,
    }  # fmt: skip


def _facts(
    run: rundir.RunFolder, checkpoint: str, saved: Any, cfg: Any, env: str
) -> dict[str, Any]:
    summary = run.read_json("summary.json") if run.has("summary.json") else {}
    scored = Path(summary.get("checkpoint", "")).name == checkpoint  # the last policy, no other
    kept = OmegaConf.masked_copy(cfg, [key for key in ACTING if key in cfg])
    return {
        "schema": 1,
        "env": env,
        "env_steps": saved.facts.get("steps"),
        "eval": summary.get("eval") if scored else None,
        "words": [word for word in _words(run) if "hydra." not in word],
        "versions": run.read_json("meta.json").get("versions"),
        "config": OmegaConf.to_yaml(kept),
    }


def _words(run: rundir.RunFolder) -> list[str]:
    command = run.read_json("meta.json").get("command") or []
    return [str(word) for word in command[1:]] if command[:1] == ["train"] else list(command)


def onnx_eval(conf: EvalConf, *, view: View, trusted: bool) -> dict[str, Any]:
    """Score an ONNX file as `eval_job` scores a checkpoint; see there.

    Raises:
        CheckpointError: it is no file of ours, or its environment is code of its own.
    """
    path = Path(conf.ckpt)
    if conf.video is not None:
        raise ConfigError("an ONNX file is not filmed", "film the run: grpo eval ckpt=<run> video=")
    session = open_session(path)
    cfg: Any = OmegaConf.merge(
        OmegaConf.structured(TrainConf), parsed(exports.facts(session, path)["config"])
    )
    own = trust.own_code(cfg) + trust.wrapper_names(OmegaConf.to_container(cfg.env.wrappers))
    unnamed = [name for name in own if is_own(name) and name not in (conf.env, cfg.policy.name)]
    if unnamed and not trusted:
        raise CheckpointError(
            f"{path} would import {', '.join(unnamed)}", "look at that code, then say --trust"
        )
    words = build.plain(cfg)
    source = build_env(words)
    acts: Any = exports.OnnxPolicy(session, source.codec, source.action_space)
    seed = words["seed"] if conf.seed is None else conf.seed
    plain = replace(source, codec=AsItIs(source.codec))
    evaluator = Evaluator(plain, seed, Use.FINAL, words["backend"].get("timeout_s"))
    modes = MODES if conf.mode == "both" else (conf.mode,)
    view.notice(f"{path}: {conf.episodes} episodes of {source.id}, {' and '.join(modes)}")
    try:
        scores = final_scores(evaluator, acts, conf.episodes, modes)  # type: ignore[arg-type]
    finally:
        evaluator.close()
    return {
        "ckpt": str(path), "env": source.id, "threshold": source.reward_threshold, "seed": seed,
        "eval": scores, "video": None,
    }  # fmt: skip
