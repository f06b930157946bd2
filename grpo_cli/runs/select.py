"""From words to runs: a folder, a pattern, `last`, or conditions such as `preset=dapo seed=1`."""

import operator
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from grpo_cli import rundir
from grpo_cli.errors import ConfigError
from grpo_cli.runs.facts import Run, state
from grpo_cli.runs.index import folders, listed, read

_CONDITION = re.compile(r"([\w.]+)(<=|>=|!=|=|<|>)(.*)", re.DOTALL)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
NUMBERS = ("seed", "env_steps", "updates", "ret", "greedy", "sampled", "wall_s")
TEXTS = ("env", "name", "started")


def select(words: Iterable[str], root: Path = rundir.ROOT) -> list[Run]:
    """Return the runs that words name, each once, by their start.

    Args:
        words: each a run folder, a folder of runs, a pattern of folders (`runs/*/dapo-*`), `last`,
            or conditions that all hold, with blanks between them (`env=CartPole-v1 preset=dapo`).
        root: where conditions look.

    Raises:
        ConfigError: a word names no run.
    """
    chosen: dict[str, Run] = {}
    for word in words:
        found = _named(word, root)
        if not found:
            if not (known := listed(root)):
                raise ConfigError(f"there are no runs in {root}/", rundir.TRAIN_ONE)
            fix = f"{len(known)} runs are in {root}/: grpo runs lists them"
            raise ConfigError(f"no run is meant by {word}", fix)
        chosen |= {str(Path(run.path).resolve()): run for run in found}
    return sorted(chosen.values(), key=lambda run: (run.started, run.path))


def matches(runs: Iterable[Run], conditions: Iterable[str]) -> list[Run]:
    """Return the runs for which all conditions hold.

    Args:
        runs: to choose from.
        conditions: `env=`, `name=`, `tag=`, `state=`, `solved=` and every word of the command line
            (`preset=dapo`) by text; `seed`, `env_steps`, `updates`, `ret`, `greedy`, `sampled` and
            `wall_s` as numbers, with < <= > >= too; `!=` turns around; any other word is looked for
            in path, tags and command line.
    """
    tests = [_test(word) for word in conditions]
    return [run for run in runs if all(test(run) for test in tests)]


def _named(word: str, root: Path) -> list[Run]:
    path = Path(word)
    if word == "last":
        return read(run.path for run in rundir.newest_first(root)[:1])
    if path.is_dir():
        return listed(root) if path == root else read(folders(path))
    if set("*?[") & set(word) and "=" not in word:
        return read(folder for hit in Path().glob(word) for folder in folders(hit))
    return matches(listed(root), word.split())


def _test(word: str) -> Callable[[Run], bool]:
    parsed = _CONDITION.fullmatch(word)
    if parsed is None:
        return lambda run: any(word in text for text in (run.path, *run.tags, *run.words))
    key, sign, value = parsed.groups()
    if sign == "!=":
        return lambda run: not _equal(run, key, value)
    if sign == "=":
        return lambda run: _equal(run, key, value)
    limit = _limit(word, key, value)

    def compared(run: Run) -> bool:
        found = getattr(run, key)
        return found is not None and _COMPARE[sign](found, limit)

    return compared


def _limit(word: str, key: str, value: str) -> float:
    if key not in NUMBERS:
        raise ConfigError(f"{word}: {key} is no number", f"numbers are {', '.join(NUMBERS)}")
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"{word} compares with no number", f"write {key}>100") from None


def _equal(run: Run, key: str, value: str) -> bool:
    if key == "tag":
        return value in run.tags
    if key == "state":
        return value == state(run)
    if key == "solved":
        return (
            value.lower()
            in {True: ("true", "yes"), False: ("false", "no"), None: ("null",)}[run.solved]
        )
    if key in TEXTS:
        return value == getattr(run, key)
    if key in NUMBERS:
        found = getattr(run, key)
        if isinstance(found, int) and value.isdecimal():
            return found == int(value)
        return found is not None and f"{found:g}" == _short(value)
    return f"{key}={value}" in run.words


def _short(value: str) -> str:
    try:
        return f"{float(value):g}"
    except ValueError:
        return value
