"""Hydra's sweep grammar as a space: choices, `range`, `interval`, `int(...)`, `tag(log, ...)`.

The words are those of `grpo train -m`; `interval` and the tags are Hydra's for sweepers. Named
spaces are files, `conf/sweep/<name>.yaml`, that hold one such word a line.
"""

from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    OverrideType,
    RangeSweep,
)

from grpo_cli.config.env_ids import extra_of, listed
from grpo_cli.config.files import LOADER, conf_dir
from grpo_cli.config.schema import GROUPS
from grpo_cli.config.suggest import did_you_mean
from grpo_cli.config.suggest import listed as enumerated
from grpo_cli.config.words import rewrite
from grpo_cli.errors import ConfigError
from grpo_cli.sweep.space import Choice, Dimension, Interval, Space, Steps, name_of

TAGS = {"log", "int"}


def space_of(words: list[str]) -> tuple[list[str], Space]:
    """Split words into those that stay the same and the space of those that vary.

    Args:
        words: `key=value`, sweeps among them.

    Raises:
        ConfigError: a sweep that no sampler can draw from.
        OverrideParseException: a word is not `key=value`.
    """
    fixed: dict[str, str] = {}
    varied: dict[str, Dimension] = {}
    for word in words:
        # An absolute path stays one: only a choice's first slash is rewritten.
        seen = word if word.partition("=")[0] in GROUPS else rewrite(word)
        override = OverridesParser.create().parse_override(seen)
        if override.type == OverrideType.DEL:
            raise ConfigError(f"a sweep cannot leave out {word}", "set it in a file of your own")
        before = seen.partition("=")[0]
        name = name_of(before)
        fixed.pop(name, None)
        varied.pop(name, None)
        if override.is_sweep_override():
            varied[name] = dimension(before, override)
        else:
            fixed[name] = word
    if "seed" in varied:
        raise ConfigError("the seed is nothing to optimize", "write sweep.seeds=3")
    return list(fixed.values()), Space(tuple(varied.values()))


def dimension(before: str, override: Override) -> Dimension:
    """Return what a sweep word stands for.

    Args:
        before: the word up to `=`.
        override: the word, parsed.

    Raises:
        ConfigError: it stands for nothing that can be drawn from.
    """
    value: Any = override.value()
    if isinstance(value, Glob):
        raise ConfigError(f"{before}=glob(...) is not for sweeps", "list the choices: a,b,c")
    unknown = value.tags - TAGS
    if unknown:
        raise ConfigError(
            f"{before} has the tag {enumerated(sorted(unknown))}", "there are the tags log and int"
        )
    if getattr(value, "shuffle", False):
        raise ConfigError(f"{before}=shuffle(...) is not for sweeps", "leave out shuffle()")
    if isinstance(value, ChoiceSweep):
        texts = (text.replace("\\:", ":") for text in override.sweep_string_iterator())
        return Choice(before, tuple(dict.fromkeys(texts)))
    if isinstance(value, RangeSweep):
        return _steps(before, value)
    if isinstance(value, IntervalSweep):
        return _interval(before, value)
    raise ConfigError(f"{before} cannot be swept like this", "write a,b,c or interval(low,high)")


def _steps(before: str, sweep: RangeSweep) -> Steps | Choice:
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None or not step:
        raise ConfigError(f"{before}: a range needs a start, a stop and a step other than 0")
    # Hydra's ranges leave out their stop, whole or not.
    span = (stop - start) / step
    count = int(span) if abs(span - round(span)) > 1e-9 else round(span) - 1
    if count < 0:
        raise ConfigError(f"{before}=range({start},{stop},{step}) is empty")
    first, last = start, start + count * step
    low, high = min(first, last), max(first, last)
    return Steps(before, low, high, abs(step)) if count else Choice(before, (repr(low),))


def _interval(before: str, sweep: IntervalSweep) -> Interval:
    low, high = sweep.start, sweep.end
    if low is None or high is None or low >= high:
        raise ConfigError(f"{before}: an interval goes from a lower to a higher number")
    log = "log" in sweep.tags
    if log and low <= 0:
        raise ConfigError(
            f"{before}: an interval with the tag log begins above 0", "or leave out the tag"
        )
    whole = "int" in sweep.tags or (isinstance(low, int) and isinstance(high, int))
    return Interval(before, low, high, log, whole)


def named_words(name: str, dirs: tuple[Path, ...] = ()) -> list[str]:
    """Return the words of a named space.

    Args:
        name: of a file in `conf/sweep`, or in the folder `sweep` of a person's own config folder.
        dirs: those.

    Raises:
        ConfigError: there is no such file, or it is not `key: sweep` lines.
    """
    folders = [folder / "sweep" for folder in (*dirs, conf_dir())]
    for folder in folders:
        path = folder / f"{name}.yaml"
        if path.is_file():
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506
            if not isinstance(content, dict):
                raise ConfigError(f"{path} is not lines of key: sweep", "such as lr: 0.001,0.01")
            return [f"{key}={value}" for key, value in content.items()]
    names = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
    guess = did_you_mean(name, names)
    raise ConfigError(f"no search space called {name}", guess or f"there are {enumerated(names)}")


SPACES = {"atari": "pixels", "minigrid": "minigrid", "text": "text"}
"""Extras whose environments have a space of their own."""


def space_for(env_id: str) -> str:
    """Return the name of the space for an environment for which none was named."""
    extra = extra_of(env_id)
    if extra in SPACES:
        return SPACES[extra]
    entry = listed().get(env_id)
    return "continuous" if entry is not None and entry.action.startswith("Box") else "control"
