"""What a report shows, as JSON: facts, curves, groups and videos of runs."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from grpo_cli import __version__, manifest
from grpo_cli.errors import CheckpointError
from grpo_cli.runs import Band, Run, Series, bands, differences, series, settings, sides, state
from grpo_cli.statistics import interval, iqm

Facts = dict[str, Any]

POINTS = 300  # of a curve: about as many as a wide chart has pixels to tell apart
LIKE_RETURN = ("group/reward_min", "group/reward_max")
# (title, unit, the metrics of one chart and what each is called there)
CHARTS: tuple[tuple[str, str, dict[str, str]], ...] = (
    ("Return", "reward", {"rollout/ep_rew_mean": "training", "eval/greedy/mean_reward": "greedy",
                          "eval/sampled/mean_reward": "sampled"}),
    ("Spread within a group", "reward", {"group/reward_std": "standard deviation"}),
    ("Dead groups", "share", {"group/frac_reward_zero_std": "groups without spread"}),
    ("Entropy", "nats", {"train/entropy": "entropy"}),
    ("KL of an update", "nats", {"train/approx_kl": "KL"}),
    ("Clipped rows", "share", {"train/clip_ratio/low_mean": "low",
                               "train/clip_ratio/high_mean": "high"}),
    ("Gradient norm", "", {"train/grad_norm": "norm"}),
    ("Baseline", "share of variance", {"baseline/explained_variance": "explained"}),
    ("Episode length", "env steps", {"rollout/ep_len_mean": "length"}),
    ("Success rate", "share", {"rollout/success_rate": "training",
                               "eval/greedy/success_rate": "greedy"}),
    ("Learning rate", "", {"train/learning_rate": "lr"}),
    ("Time of an update", "s", {"time/env_s": "environment", "time/act_s": "acting",
                                "time/update_s": "update", "time/eval_s": "evaluation"}),
)  # fmt: skip
VIDEOS = {".mp4": "video/mp4", ".webm": "video/webm", ".gif": "image/gif"}
# Larger files stay beside the report: a page of 100 MB opens nowhere.
MOST_VIDEO = 8 * 2**20


def collect(runs: Sequence[Run]) -> Facts:
    """Return what a report of these runs shows, JSON-ready.

    Args:
        runs: one or more.
    """
    read = {run.path: series(run) for run in runs}
    labelled: dict[str, list[Facts]] = {}
    for env in dict.fromkeys(run.env for run in runs):
        groups = sides([run for run in runs if run.env == env])
        labelled[env] = [
            {
                "label": label,
                "runs": [run.path for run in group],
                "bands": _bands([read[run.path] for run in group]),
                "scores": _scores(group),
            }
            for label, group in groups.items()
        ]
    configs = [settings(run) for run in runs]
    return {
        "version": __version__,
        "charts": [
            {"title": title, "unit": unit, "metrics": metrics} for title, unit, metrics in CHARTS
        ],
        "envs": labelled,
        "differences": list(differences(configs)),
        "runs": {
            run.path: _run(run, read[run.path], config)
            for run, config in zip(runs, configs, strict=True)
        },
    }


def _run(run: Run, read: dict[str, Series], config: dict[str, str]) -> Facts:
    summary, meta = _json(run, "summary.json"), _json(run, "meta.json")
    names = [name for _, _, metrics in CHARTS for name in metrics]
    return {
        **run.as_json(),
        "state": state(run),
        "stop_at": summary.get("stop_at"),
        "fps": summary.get("fps"),
        "eval": summary.get("eval") or {},
        "command": [word for word in meta.get("command") or [] if "hydra." not in word],
        "python": meta.get("python"),
        "versions": meta.get("versions") or {},
        "resumed": len(meta.get("resumed") or []),
        "config": config,
        "curves": {
            name: _thin(read[name].x, read[name].y)
            for name in (*names, *LIKE_RETURN)
            if name in read
        },
        "groups": _groups(run),
        "videos": _videos(run),
    }


def _bands(read: list[dict[str, Series]]) -> Facts:
    """Return mean and interval over seeds of what the charts show; empty for a single run."""
    if len(read) < 2:
        return {}
    names = [name for _, _, metrics in CHARTS for name in metrics]
    having = {name: [of[name] for of in read if name in of] for name in names}
    whole = {name: group for name, group in having.items() if len(group) == len(read)}
    return {name: _band(band) for name, band in bands(whole).items()}


def _scores(group: Sequence[Run]) -> Facts:
    """Return each mode's final means over seeds; empty for a single run."""
    found = {}
    for mode in ("greedy", "sampled"):
        means = np.array([mean for run in group if (mean := getattr(run, mode)) is not None])
        if len(means) > 1:
            low, high = interval([means], lambda drawn: drawn.mean(-1))
            found[mode] = {
                "runs": len(means),
                "mean": float(means.mean()),
                "ci_low": float(low),
                "ci_high": float(high),
                "iqm": float(iqm(means)),
                "worst": float(means.min()),
            }
    return found


def _band(band: Band) -> Facts:
    rows = {name: getattr(band, name) for name in ("x", "y", "low", "high")}
    return {name: [_short(value) for value in row] for name, row in rows.items()}


def _thin(x: Sequence[float], y: Sequence[float]) -> Facts:
    """Return a curve of at most POINTS points, each the mean of its neighbours; the last stays."""
    count = len(x)
    if count > POINTS:
        edges = np.linspace(0, count, POINTS + 1).astype(int)
        sizes = np.diff(edges)
        y = (np.add.reduceat(np.asarray(y), edges[:-1]) / sizes).tolist()
        x = [x[edge - 1] for edge in edges[1:]]
    return {"x": [_short(value) for value in x], "y": [_short(value) for value in y]}


def _short(value: float) -> float | int:
    short = float(f"{value:.6g}")
    return int(short) if short == int(short) else short


def _groups(run: Run) -> list[Facts]:
    """Return the lines of groups.jsonl; a resumed run replaces what it went back over."""
    try:
        lines = manifest.read_file(run.folder.path / "groups.jsonl", manifest.SMALL).splitlines()
    except OSError:
        return []
    kept: list[Facts] = []
    for line in lines:
        try:
            found = dict(json.loads(line))
            while kept and kept[-1]["step"] >= found["step"]:
                kept.pop()
        except (ValueError, TypeError, KeyError):
            continue
        kept.append(found)
    return kept


def _videos(run: Run) -> list[Facts]:
    found = []
    folder = run.folder.path
    stages = sorted(folder.glob("videos/step-*"))
    for path in [*sorted(folder.glob("*.*")), *folder.glob("videos/timelapse.*"), *stages[-1:]]:
        kind = VIDEOS.get(path.suffix)
        if kind is None or path.name.startswith("."):
            continue
        try:
            data = manifest.read_file(path, MOST_VIDEO)
        except OSError:
            found.append({"name": path.name, "kind": kind, "data": None})
            continue
        text = base64.b64encode(data).decode()
        found.append({"name": path.name, "kind": kind, "data": f"data:{kind};base64,{text}"})
    return found


def _json(run: Run, name: str) -> Facts:
    try:
        return run.folder.read_json(name)
    except CheckpointError:
        return {}
