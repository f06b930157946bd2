"""Words before Hydra reads them: aliases, free keyword arguments, environment ids, own code.

Hydra knows files. A choice without a file (an environment id, or a person's own `my_pkg.fn`,
`./file.py:Class`) becomes an entry of its ConfigStore, so that sweeps and presets treat it alike.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString

from grpo_cli.config import env_ids
from grpo_cli.config.files import find
from grpo_cli.config.schema import (
    ALIASES,
    GROUPS,
    LISTS_OF_CODE,
    NAMED,
    TrainConf,
    everyday,
    is_own,
)
from grpo_cli.errors import ConfigError

Dirs = tuple[Path, ...]

_WORD = re.compile(r"(?P<sign>\+\+|\+|~)?(?P<key>[^=@+~][^=@]*)(?P<rest>.*)", re.DOTALL)
_ABSOLUTE = re.compile(r"(?P<before>[=,(\[]\s*[\"']?)/+")
_ROUND_FLOAT = re.compile(r"(?<![\w.+-])\d+(?:\.\d+)?[eE]\+?\d+(?![\w.])")
_WHOLE = tuple(name for name, entry in everyday().items() if entry.type in (int, int | None))


def rewrite(word: str) -> str:
    """Return `word` as Hydra has to see it.

    Aliases get their name, `env.kwargs.x=1` its `++`, `total_steps=1e6` becomes a whole number,
    and an absolute path in a choice loses its first slash, which Hydra's groups cannot hold.
    """
    parts = _WORD.fullmatch(word)
    if parts is None:
        return word
    sign, key, rest = parts["sign"] or "", parts["key"], parts["rest"]
    head, dot, tail = key.partition(".")
    key = ALIASES.get(head, head) + dot + tail
    if (key + ".").startswith("env.kwargs.") and sign != "~":
        sign = "++"
    if key in GROUPS:
        rest = _ABSOLUTE.sub(r"\g<before>", rest)
    if key in _WHOLE:
        rest = _ROUND_FLOAT.sub(_as_whole, rest)
    return f"{sign}{key}{rest}"


def _as_whole(match: re.Match[str]) -> str:
    number = float(match[0])
    return str(int(number)) if number.is_integer() else match[0]


def register(words: list[str], dirs: Dirs = ()) -> dict[str, str]:
    """Tell Hydra about the schema, every listed environment and all own code in `words`.

    Args:
        words: overrides as they were typed.
        dirs: the person's config folders; a file there wins over a listed id.

    Returns:
        The choices that had to lose their first slash: `{"abs/f.py:E": "/abs/f.py:E"}`.

    Raises:
        OverrideParseException: a word is not `key=value`.
        MissingPackage: an environment is in a known namespace that is not installed.
    """
    store = ConfigStore.instance()
    for group in GROUPS:
        store.repo.pop(group, None)
    store.store(name="schema", node=TrainConf)
    for env_id in env_ids.listed_ids():
        if env_ids.family(env_id) is None:  # hundreds of games and levels would cost 0.1 s
            _offer("env", env_id, dirs)
    chosen = [pair for word in words for pair in choices_in(word)]
    files = [choice for group, choice in chosen if group == "experiment"]
    layers = [find("experiment", choice, dirs) for choice in files]
    chosen += [pair for layer in layers if layer for pair in layer.choices.items()]
    for group, choice in chosen:
        if _has_no_file(group, choice):
            _offer(group, choice, dirs)
    return {choice.lstrip("/"): choice for _, choice in chosen if choice.startswith("/")}


def restore(word: str, absolute: Mapping[str, str]) -> str:
    """Return a word that Hydra made for one job of a sweep as a person would type it."""
    word = word.replace("\\:", ":")
    key, equals, value = word.partition("=")
    return f"{key}{equals}{absolute.get(value, value) if key in GROUPS else value}"


def _has_no_file(group: str, choice: str) -> bool:
    if group != "env":
        return group in NAMED and is_own(choice)
    return env_ids.is_known(choice) or is_own(choice)


def choices_in(word: str) -> Iterator[tuple[str, str]]:
    """Yield `(group, choice)` for each choice that `word` makes, sweeps and lists included.

    A key that lists components, such as `reward.functions`, counts as a group.
    """
    parts = _WORD.fullmatch(word)
    if parts is None or not parts["rest"].startswith("="):
        return
    group = ALIASES.get(parts["key"], parts["key"])
    if group not in (*GROUPS, *LISTS_OF_CODE):
        return
    override = OverridesParser.create().parse_override(word)
    value: Any = override.value()
    sweeps = override.is_sweep_override()
    # A sweep's own string iterator would escape the colons of own code; some have no list.
    value = getattr(value, "list", []) if sweeps else value
    if not (value is None and override.is_delete()):
        for one in list(value or ()) if sweeps else [value]:
            _require_names(group, one)
    yield from ((group, choice) for choice in _texts(value))


def _require_names(group: str, value: Any) -> None:
    """Refuse a choice that is no name: Hydra fails on it somewhere inside."""
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, str | QuotedString):
            given = "null" if entry is None else entry
            raise ConfigError(f"{group} needs a choice, got {given}", "see grpo train --help")


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, a list of values, or a list of lists."""
    if isinstance(value, list):
        for entry in value:
            yield from _texts(entry)
    elif isinstance(value, str):
        yield value
    elif isinstance(value, QuotedString):
        yield value.text


def _offer(group: str, choice: str, dirs: Dirs) -> None:
    if find(group, choice, dirs) is not None:
        return
    if choice.endswith(".py"):
        raise ConfigError(f"{group}={choice} names a file", f"name what is in it: {choice}:Name")
    folder, _, name = f"{group}/{choice.lstrip('/')}".rpartition("/")
    node: dict[str, Any] = {"id" if group == "env" else "name": choice}
    family = env_ids.family(choice) if group == "env" else None
    if family is not None:
        node = {"defaults": [f"/env/{family}", "_self_"], **node}
    package = f"sinks.{re.sub(r'[^0-9A-Za-z]+', '_', choice)}" if group == "sinks" else group
    ConfigStore.instance().store(group=folder, name=name, node=node, package=package)
