"""`grpo play`: attempts of a saved policy from one start, filmed or in the terminal."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from grpo_cli import checkpoint, rundir, video
from grpo_cli.config import build
from grpo_cli.config.asks import PlayConf
from grpo_cli.config.build_env import build_env
from grpo_cli.config.built import require_env, take
from grpo_cli.config.saved import open_config
from grpo_cli.config.text_jobs import opened, text_play
from grpo_cli.sinks.view import View
from grpo_cli.video.files import Frame


def play_job(conf: PlayConf, *, view: View, trusted: bool) -> dict[str, Any]:
    """Play and show.

    Args:
        conf: which checkpoint, how many members, where to.
        view: what a person sees besides.
        trusted: code that the run names may be imported.

    Returns:
        ckpt, env, out, mode, and return and length of each member.

    Raises:
        GrpoError: the run cannot be used, or the environment cannot be drawn.
    """
    if (what := opened(conf.ckpt, conf.env, conf.device, trusted)) is not None:
        return text_play(what, conf, view=view)
    run, path = rundir.find(conf.ckpt)
    out = str(run.path / f"play.{conf.out}") if conf.out in ("mp4", "gif") else conf.out
    screen = video.Screen() if out == "terminal" else None
    file = None if screen else video.plan(out)
    named = set() if conf.env is None else {build.absolute(conf.env)}
    cfg = open_config(run, trusted=trusted, named=named)
    saved = checkpoint.load(path)
    words = build.plain(cfg)
    source = build_env(words)
    require_env(saved, path, source)
    policy = build.build_policy(words, source, build.build_device(conf.device))
    take(policy, saved, path, source)
    video.check_renders(source)
    frames: list[Callable[[Frame], None]] = []
    together = video.Together(source, conf.members, lambda frame: frames[0](frame))
    with ExitStack() as stack:
        if screen is not None:
            stack.callback(screen.close)
            screen.at(together.fps)
            frames.append(screen.take)
        elif file is not None:
            view.notice(f"{path}: filming {conf.members} attempts from one start")
            frames.append(stack.enter_context(video.film(file, together.fps)))
        seed = words["seed"] if conf.seed is None else conf.seed
        mode: Any = conf.mode
        done = video.play(together, source, policy, seed=seed, start=conf.start, mode=mode)
    return {
        "ckpt": str(path),
        "env": source.id,
        "out": out if file is None else str(Path(file)),
        "mode": conf.mode,
        "returns": done.ret.tolist(),
        "lengths": done.length.tolist(),
    }
