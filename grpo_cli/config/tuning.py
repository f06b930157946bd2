"""`grpo bench` and `tune=auto`: settings that were measured on this computer.

A recommendation is kept in the user's state folder under everything that it depends on: what was
asked for, and the computer. A run that takes one stores the plain values, so that repeating it or
going on with it measures nothing.
"""

import hashlib
import json
import os
import platform
import re
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_cli import benchmark, groups
from grpo_cli.benchmark import Subject, Tell
from grpo_cli.config import build, files
from grpo_cli.config.absolute import name_absolutely
from grpo_cli.config.build_lookahead import MODES as LOOK_AHEAD
from grpo_cli.config.built import Built, build_all
from grpo_cli.config.schema import everyday
from grpo_cli.config.trust import state_folder
from grpo_cli.config.values import Expected
from grpo_cli.config.words import rewrite
from grpo_cli.envs import correct
from grpo_cli.errors import ConfigError
from grpo_cli.recommend import Case, Measured, Settings
from grpo_cli.sinks.view import View
from grpo_cli.versions import versions

Record = dict[str, Any]

TUNED = ("backend", "num_groups", "num_minibatches", "minibatch_size", "threads")
# What a recommendation depends on, besides the computer.
ASKED = (
    "env", "group", "group_size", "epochs", "policy", "loss", "kl", "entropy", "optim", "device",
    *TUNED,
)  # fmt: skip
BRIEFLY_S = 10.0


def bench(cfg: DictConfig, overrides: list[str], budget_s: float, view: View, tell: Tell) -> Record:
    """Measure, recommend, and keep the recommendation for `tune=auto`.

    Args:
        cfg: composed and checked.
        overrides: the words that were typed; what they set stays.
        budget_s: seconds to measure for.
        view: what a person sees.
        tell: hears how far it is.

    Raises:
        GrpoError: a part cannot be built, or the environment raised.
    """
    started = time.perf_counter()
    cfg = cfg.copy()
    name_absolutely(cfg)
    found = {
        **benchmark.result(*_measured(cfg, overrides, budget_s, view, tell)),
        "computer": computer(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path = _path(cfg, overrides)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(json.dumps(found, indent=1) + "\n")
        found["stored"] = str(path)
    except OSError as error:
        view.warn(f"{path} cannot be written, tune=auto will measure again: {error.strerror}")
        found["stored"] = None
    return {**found, "seconds": time.perf_counter() - started}


def tune(cfg: DictConfig, overrides: list[str], view: View) -> None:
    """Put the recommended values into a config whose files are named absolutely.

    They stand below the command line: what was typed is neither changed nor measured. Without a
    stored recommendation one is measured briefly.
    """
    cfg.tune = "none"  # a word of this command; the run gets the values
    found = _stored(_path(cfg, overrides))
    if found is None:
        view.notice(f"tune=auto: measuring for {BRIEFLY_S:.0f} s; grpo bench does it thoroughly")
        found = bench(cfg, overrides, BRIEFLY_S, view, lambda *_: None)
    changed = []
    for key in TUNED:
        value = found["take"][key]
        if key in typed(overrides) or (key == "backend" and cfg.backend.name == value):
            continue
        if key == "backend":
            if cfg.group.name not in LOOK_AHEAD:
                node = files.shipped("backend", value)
                OmegaConf.update(cfg, key, node, merge=False)
                changed.append(f"backend={value}")
        elif cfg[key] != value:
            cfg[key] = value
            changed.append(f"{key}={value}")
    rates = "{asked:,.0f} -> {take:,.0f} env steps/s expected".format(**found["steps_per_s"])
    view.notice(f"tune=auto: {' '.join(changed) or 'nothing to change'} ({rates})")


def typed(overrides: list[str]) -> frozenset[str]:
    """Return those settings of `TUNED` that words set."""
    keys = (re.sub(r"^\++", "", rewrite(word)).partition("=")[0] for word in overrides)
    return frozenset(key.partition(".")[0] for key in keys) & frozenset(TUNED)


def computer() -> Record:
    """Return what the speed of this computer depends on, as far as it can be told."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": _cpu(), "cores": cores or 1, "versions": versions()}


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return model[1] if model else platform.machine()


def _path(cfg: DictConfig, overrides: list[str]) -> Path:
    words = build.plain(cfg)
    asked = {key: words[key] for key in ASKED}
    known = json.dumps([asked, sorted(typed(overrides)), computer()], sort_keys=True, default=str)
    digest = hashlib.sha256(known.encode()).hexdigest()[:16]
    slug = re.sub(r"[^0-9A-Za-z.-]+", "-", words["env"]["id"].rpartition(":")[2])
    return state_folder() / "bench" / f"{slug}-{digest}.json"


def _stored(path: Path) -> Record | None:
    """Read a recommendation; None where there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text())
        take = Settings(**found["take"])
        for key in TUNED[1:]:
            Expected.of_field(everyday()[key]).check(key, getattr(take, key))
        known = take.backend in benchmark.BACKENDS
        float(found["steps_per_s"]["asked"] + found["steps_per_s"]["take"])
    except Exception:  # a file that anything may have happened to
        return None
    return {**found, "take": asdict(take)} if known else None


def _measured(
    cfg: DictConfig, overrides: list[str], budget_s: float, view: View, tell: Tell
) -> tuple[Subject, Measured]:
    """Build every part, sample one rollout, and measure with them."""
    words = build.plain(cfg)
    tell("building", 0.0)
    built = build_all(words, view.muted())
    try:
        scored = built.score(built.sampler.sample(built.policy, 0))
    finally:
        built.backend.close()
    beside = words["group"]["name"] not in LOOK_AHEAD
    backend = built.backend.name
    restarts = words["group"].get("slots") is not None or words["group"]["name"] == "windows"
    members = min(words["group"].get("slots") or 10**9, len(scored.rollout.group))
    # Episodes get longer or shorter with learning: half way from now to the longest.
    most = _most_rows(built, words, len(scored.reward))
    rows = (len(scored.reward) + most) / 2
    case = Case(
        settings=Settings(
            backend, words["num_groups"], words["num_minibatches"], words["minibatch_size"],
            words["threads"],
        ),
        fixed=typed(overrides),
        members=members if beside else words["num_groups"] * words["group_size"],
        rows=rows,
        most=most,
        epochs=words["epochs"],
        scales=beside and _twice_fits(built, most),
        backends=tuple({backend, *correct(built.source, restarts)}) if beside else (),
        threads=_threads(built, words["threads"], typed(overrides)),
    )  # fmt: skip
    subject = Subject(
        source=built.source,
        policy=built.policy,
        learner=built.learner,
        scored=scored,
        group_size=words["group_size"] if words["group"].get("same_start") else 1,
        length=rows / len(scored.rollout.group),
        restarts=restarts,
        case=case,
    )
    return subject, benchmark.measure(subject, budget_s, tell)


def _most_rows(built: Built, words: Record, rows: int) -> int:
    """Return how many rows an update can have, where an episode may grow longer."""
    if words["group"]["name"] != "episodes":
        return rows
    longest = min(words["group"].get("horizon") or built.source.max_steps, built.source.max_steps)
    return words["num_groups"] * words["group_size"] * longest


def _twice_fits(built: Built, most: int) -> bool:
    """Say whether memory allows twice the groups."""
    try:
        groups.check_memory(built.source, 2 * most)
    except ConfigError:
        return False
    return True


def _threads(built: Built, asked: int, fixed: frozenset[str]) -> tuple[int, ...]:
    """Return the numbers of threads to try: one, all cores, and what is asked for."""
    if "threads" in fixed or built.policy.device.type != "cpu":
        return (asked,)
    return tuple(sorted({asked, 1, computer()["cores"]}))
