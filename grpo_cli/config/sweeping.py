"""From the words of `grpo sweep` to a plan, and from its best trial to a config file."""

import hashlib
import json
import re
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from grpo_cli import rundir
from grpo_cli.config.check import check_fields
from grpo_cli.config.corners import Corners
from grpo_cli.config.env_ids import import_package, is_known
from grpo_cli.config.explain import explained
from grpo_cli.config.schema import GROUPS, everyday, is_own
from grpo_cli.config.search import named_words, space_for, space_of
from grpo_cli.config.suggest import unknown_key
from grpo_cli.config.sweep_schema import SweepConf
from grpo_cli.config.values import Expected, seconds
from grpo_cli.config.words import rewrite
from grpo_cli.errors import ConfigError
from grpo_cli.sweep.plan import Limit, Plan

TRIALS = 20
"""Of a space without a full grid, where neither trials nor a budget are named."""
ROOT = rundir.ROOT / "sweeps"
FILE = "study.db"
SAME = ("env", "total_steps", "cluster")
"""What must not differ between trials, for their scores to be compared."""


def plan_of(
    words: list[str], dirs: Iterable[str], *, trusted: bool, command: list[str]
) -> tuple[Plan, Corners]:
    """Return what a sweep is to do, and what can be trained of its space, looked over.

    Args:
        words: of the command line, in their order.
        dirs: the person's own config folders.
        trusted: the person said `--trust`.
        command: as it was typed.

    Raises:
        ConfigError: something is wrong with the words of the sweep, or with a value of the space.
    """
    folders = tuple(Path(folder).absolute() for folder in dirs)
    conf, chosen, rest = _split(words)
    with explained(folders):
        fixed, space = space_of(rest)
        if chosen or not space.dimensions:
            env = next((w.partition("=")[2] for w in fixed if w.startswith("env=")), "")
            # What is typed wins over the file, whether it varies or not.
            fixed, space = space_of([*named_words(chosen or space_for(env), folders), *rest])
    for key in SAME:
        if key in space.names:
            raise ConfigError(f"trials with another {key} cannot be compared", f"give one {key}")
    if conf.objective != "steps_to_threshold" and not _has(fixed, "stop_at"):
        fixed.append("stop_at=none")  # all trials are scored after the same steps
    corners = Corners(fixed, space, folders)
    corners.look()
    cfg = corners.trainable[0].cfg
    if conf.objective == "steps_to_threshold":
        _require_threshold(cfg)
    grid = space.size is not None and conf.trials is None
    trials = space.size if grid else conf.trials
    if trials is None and conf.budget is None:
        trials = TRIALS
    maximize = conf.direction == "maximize"
    if conf.direction == "auto":
        maximize = conf.objective != "steps_to_threshold"
    name = conf.name or _name(str(cfg.env.id), [*fixed, json.dumps(space.described())], conf)
    folder = ROOT / name
    cluster = OmegaConf.to_container(cfg.cluster) if cfg.cluster.name == "ray" else None
    if cluster is not None:  # the trials are its tasks; each of them trains where it is
        fixed = [word for word in fixed if not word.startswith(("cluster=", "cluster."))]
    plan = Plan(
        name=name,
        folder=folder,
        storage=_url(conf.storage, folder),
        words=tuple(fixed),
        dirs=tuple(map(str, folders)),
        space=space,
        trials=trials,
        grid=grid,
        workers=conf.workers,
        budget_s=seconds(conf.budget),
        seeds=conf.seeds,
        seed=int(cfg.seed),
        objective=conf.objective,
        maximize=maximize,
        mode=conf.mode,
        constraint=None if conf.constraint is None else Limit.read(conf.constraint),
        sampler=conf.sampler,
        pruner=conf.pruner,
        prune_after=conf.prune_after,
        confirm=conf.confirm,
        finalists=conf.finalists,
        reuse=conf.reuse,
        total_steps=int(cfg.total_steps),
        eval_every=int(cfg.eval_every),
        cluster=cluster,  # type: ignore[arg-type]
        trusted=trusted,
        command=tuple(command),
    )
    return plan, corners


def _split(words: list[str]) -> tuple[SweepConf, str, list[str]]:
    """Take the words of the sweep out of those of training: settings, a named space, the rest."""
    own = [word for word in words if word.startswith("sweep.")]
    named = [word.partition("=")[2] for word in words if word.startswith("sweep=")]
    rest = [word for word in words if not word.startswith(("sweep.", "sweep="))]
    entries = everyday(SweepConf)
    given: dict[str, Any] = {}
    for word in own:
        key, _, value = word.removeprefix("sweep.").partition("=")
        if key not in entries:
            raise unknown_key(f"sweep.{key}", [f"sweep.{name}" for name in entries])
        # A constraint and an address are texts, whatever signs are in them.
        given[key] = value if key in ("constraint", "storage") else _parsed(key, value)
    conf = OmegaConf.structured(SweepConf)
    try:
        conf = OmegaConf.merge(conf, given)
        check_fields(conf, entries, "sweep.")  # type: ignore[arg-type]
    except OmegaConfBaseException as error:
        key = str(error.full_key or "")
        expected = Expected.of_field(entries[key]).words
        raise ConfigError(f"sweep.{key} must be {expected}, got {given[key]}") from error
    return SweepConf(**conf), named[-1] if named else "", rest  # type: ignore[arg-type]


def _parsed(key: str, value: str) -> Any:
    override = OverridesParser.create().parse_override(f"{key}={value}")
    if override.is_sweep_override():
        raise ConfigError(f"sweep.{key} takes one value, got {value}")
    parsed = override.value()
    return parsed if isinstance(parsed, int | float | bool | None) else str(parsed)


def _require_threshold(cfg: Any) -> None:
    """Refuse to count the steps to a threshold that there is not."""
    env_id, none = str(cfg.env.id), cfg.stop_at in (None, "none")
    if cfg.stop_at == "auto" and is_known(env_id) and not is_own(env_id):
        import_package(env_id)
        none = import_module("gymnasium").registry[env_id].reward_threshold is None
    if none:
        raise ConfigError(f"{env_id} has no threshold to count the steps to", "write stop_at=N")


def _has(words: list[str], key: str) -> bool:
    return any(word.startswith(f"{key}=") for word in words)


def _name(env: str, words: list[str], conf: SweepConf) -> str:
    """Name a sweep so that the same command finds it again."""
    asked = [conf.seeds, conf.objective, conf.direction, conf.mode, conf.constraint]
    text = json.dumps([sorted(words), asked, conf.trials is None])
    digest = hashlib.sha256(text.encode()).hexdigest()[:6]
    stem = re.sub(r"[^\w.-]+", "-", env.rpartition("/")[2]).lstrip(".-")
    return f"{stem}-{digest}"


def _url(storage: str | None, folder: Path) -> str:
    """Return SQLAlchemy's URL; PostgreSQL's driver is psycopg 3."""
    if storage is None:
        return f"sqlite:///{folder / FILE}"
    return re.sub(r"^postgresql://", "postgresql+psycopg://", storage)


def experiment(plan: Plan, best: dict[str, Any]) -> str:
    """Return the settings of a trial as a file of the config group `experiment`.

    Args:
        plan: of the sweep.
        best: the trial, of `result.json`.
    """
    fixed = [word for word in plan.words if word != "stop_at=none"]
    groups: list[dict[str, Any]] = []
    tree: dict[str, Any] = {}
    for word in [*fixed, *best["words"]]:
        override = OverridesParser.create().parse_override(
            word if word.partition("=")[0] in GROUPS else rewrite(word)
        )
        key, value = override.key_or_group, override.value()
        if key in GROUPS:
            groups.append({f"override /{key}": _plain(value)})
        else:
            _put(tree, key.split("."), _plain(value))
    fresh = best["fresh"]
    head = [
        "# @package _global_",
        f"# The best of the sweep {plan.name}: trial {best['number']}, {plan.objective} "
        f"{best['value']:g}; on fresh seeds {fresh['seeds']}: {fresh['values']}.",
        f"#   grpo train --config-dir {plan.folder} experiment=best",
    ]
    body = yaml.safe_dump({"defaults": groups} | tree, sort_keys=False)
    return "\n".join([*head, body])


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    return value if isinstance(value, bool | int | float | None) else getattr(value, "text", value)


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        tree = tree.setdefault(part, {})
    tree[path[-1]] = value
