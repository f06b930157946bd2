"""What one level of comparison may be set to, and what does not fit together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from grpo_cli.errors import ConfigError

VALUES = ("return", "return_to_go", "process", "step")
KEYS = ("group", "group_step", "state", "bin", "batch")
BASELINES = ("loo", "mean", "length_weighted", "score_norm", "shrunk", "greedy", "none")
SCALES = ("none", "group", "batch", "batch_value", "timestep", "max_abs", "whiten")
FALLBACK_NAMES = ("neighbour_step", "all_groups")
WHOLE = ("length_weighted", "shrunk", "greedy")  # baselines of whole members


@dataclass(frozen=True)
class Level:
    """One comparison: the settings of `peer`, which explains them, without its `plus`."""

    value: str
    key: str
    baseline: str
    min_peers: int
    fallback: Sequence[str]
    adjust: str
    scale: str
    eps: float
    ddof: int
    bin_size: float


def further(plus: Sequence[Mapping[str, Any]], first: Level) -> list[tuple[float, Any, Level]]:
    """Read the further levels: coefficient, discount (None: the run's) and settings of each.

    Args:
        plus: settings of each level; those it does not name are the first level's.
        first: the first level.

    Raises:
        ConfigError: no mapping with `coef`, or a setting that does not exist or fit.
    """
    known = [field.name for field in fields(Level)]
    read = []
    for number, given in enumerate(plus):
        where = f"advantage.plus[{number}]"
        if not isinstance(given, Mapping) or not _is_number(given.get("coef")):
            raise ConfigError(
                f"{where} is a level to add, with a coefficient, got {given}",
                "write it as {coef: 1.0, value: return_to_go, key: state}",
            )
        level = dict(given)
        coef, gamma = float(level.pop("coef")), level.pop("gamma", None)
        if gamma is not None and not (_is_number(gamma) and 0 <= gamma <= 1):
            raise ConfigError(f"{where}.gamma={gamma} is no discount", "give one from 0 to 1")
        unknown = sorted(set(level) - set(known))
        if unknown:
            raise ConfigError(
                f"{where} has no key {unknown[0]}", f"it has coef, gamma, {', '.join(known)}"
            )
        read.append((coef, gamma, check_level(replace(first, **level), f"{where}.")))
    return read


def check_level(level: Level, prefix: str = "advantage.") -> Level:
    """Return the level, once its settings exist and fit each other.

    Raises:
        ConfigError: they do not.
    """
    _check_each(level, prefix)
    whole, alone = level.value == "return", level.baseline in (*WHOLE, "score_norm")
    if whole and (level.key not in ("group", "batch") or level.fallback):
        raise ConfigError(
            f"{prefix}value=return compares whole members, which share no step",
            f"set {prefix}key=group {prefix}fallback=[], or {prefix}value=return_to_go",
        )
    if level.key in ("group", "batch") and level.fallback:
        raise ConfigError(
            f"{prefix}fallback is for peers at the same step or state, not {prefix}key={level.key}",
            f"set {prefix}fallback=[], or {prefix}key=group_step",
        )
    if alone and level.fallback:
        raise ConfigError(
            f"{prefix}baseline={level.baseline} has a mean of its own, which no fall-back has",
            f"set {prefix}fallback=[], or {prefix}baseline=loo",
        )
    if level.baseline in WHOLE and not (whole and level.key == "group"):
        raise ConfigError(
            f"{prefix}baseline={level.baseline} compares whole members of a group",
            f"set {prefix}value=return {prefix}key=group, or {prefix}baseline=loo",
        )
    if level.baseline == "greedy" and level.min_peers != 1:
        raise ConfigError(
            f"{prefix}baseline=greedy compares with one greedy member", f"set {prefix}min_peers=1"
        )
    if level.scale == "timestep" and level.fallback:
        raise ConfigError(
            f"{prefix}scale=timestep divides by the spread of one's peers; a lonely row has none",
            f"set {prefix}fallback=[], or {prefix}scale=batch",
        )
    with_peers = level.key == "group_step" and level.baseline == "loo"
    without = level.key == "batch" and level.baseline == "none" and not whole
    if level.adjust == "linear" and not (with_peers or without):
        raise ConfigError(
            f"{prefix}adjust=linear corrects the leave-one-out comparison at the same step",
            f"set {prefix}key=group_step {prefix}baseline=loo, "
            f"or without peers {prefix}key=batch {prefix}baseline=none",
        )
    return level


def _check_each(level: Level, prefix: str) -> None:
    """Refuse single settings that do not exist."""
    if isinstance(level.fallback, str) or not isinstance(level.fallback, Sequence):
        raise ConfigError(f"{prefix}fallback is a list", f"write {prefix}fallback=[all_groups]")
    known = {
        "value": (level.value, VALUES),
        "key": (level.key, KEYS),
        "baseline": (level.baseline, BASELINES),
        "adjust": (level.adjust, ("none", "linear")),
        "scale": (level.scale, SCALES),
        "ddof": (level.ddof, (0, 1)),
        **{f"fallback[{i}]": (name, FALLBACK_NAMES) for i, name in enumerate(level.fallback)},
    }
    for setting, (given, choices) in known.items():
        if given not in choices:
            raise ConfigError(
                f"{prefix}{setting}={given} does not exist",
                f"choose one of {', '.join(map(str, choices))}",
            )
    for setting in ("eps", "bin_size", "min_peers"):
        given = getattr(level, setting)
        if not _is_number(given) or given < 0 or (given == 0 and setting != "eps"):
            raise ConfigError(f"{prefix}{setting}={given} is too small", "give one above 0")


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)
