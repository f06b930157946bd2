"""The words after a verb: flags first, then `key=value`, because argparse refuses them mixed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from grpo_cli.config.env_ids import listed_ids
from grpo_cli.config.files import component_keys, default_keys
from grpo_cli.config.schema import ALIASES, COMPONENTS, GROUPS, TrainConf, everyday, is_own
from grpo_cli.config.suggest import listed, nearest, unknown_key
from grpo_cli.errors import ConfigError

HYDRA_FLAGS = {
    "--hydra-help": 0,
    "--cfg": 1,
    "--resolve": 0,
    "--package": 1,
    "--run": 0,
    "--multirun": 0,
    "--config-path": 1,
    "--config-name": 1,
    "--config-dir": 1,
    "--info": 0,
}
"""Flags that Hydra reads itself, and how many values each of them takes."""

_SHORT = {
    "-c": "--cfg",
    "-p": "--package",
    "-r": "--run",
    "-m": "--multirun",
    "-cp": "--config-path",
    "-cn": "--config-name",
    "-cd": "--config-dir",
    "-i": "--info",
}
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
_CFG = ("job", "hydra", "all")
_REFUSED = {
    "-sc": "shell completion is not Hydra's here",
    "--shell-completion": "shell completion is not Hydra's here",
    "--experimental-rerun": "a pickled job could run any code",
}
_OURS = ("--quiet", "--json", "--debug", "--trust", "--help", "--version")


@dataclass
class Words:
    """Words, sorted.

    Attributes:
        flags: Hydra's flags with their values, long names.
        overrides: `key=value` and `~key`, in their order.
        dirs: the values of `--config-dir`.
    """

    flags: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    dirs: list[str] = field(default_factory=list)

    @property
    def sweeps(self) -> bool:
        """Whether several jobs were asked for."""
        return "--multirun" in self.flags

    @property
    def has_own_files(self) -> bool:
        """Whether config files of the person's own are searched too; they may add groups."""
        places = ("--config-dir", "--config-path")
        return any(flag in places for flag in self.flags) or any(
            "hydra.searchpath" in word for word in self.overrides
        )


def arrange(words: Iterable[str], conf: type = TrainConf, flags: Iterable[str] = ()) -> Words:
    """Sort words into flags and overrides.

    Args:
        words: as typed, without the flags that Typer took.
        conf: the dataclass that lists the keys.
        flags: which of Hydra's flags the verb hands on; long names.

    Raises:
        ConfigError: a flag that does not exist, or a word that is not `key=value`.
    """
    sorted_words = Words()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            sorted_words.overrides.append(_override(word, conf))
            continue
        flag, value = _split(word)
        if flag not in flags:
            raise _no_flag(word, rest, conf, flags)
        values = [value] if value is not None else _values(flag, rest)
        if flag == "--cfg" and values[0] not in _CFG:
            raise ConfigError(f"--cfg shows {listed(_CFG, 'or')}, not {values[0]}")
        sorted_words.flags += [flag, *values]
        if flag == "--config-dir":
            sorted_words.dirs += values
    if conf is TrainConf and not sorted_words.has_own_files:
        _check_keys(sorted_words.overrides)
    return sorted_words


def _check_keys(words: list[str]) -> None:
    """Answer mistyped keys at once: Hydra takes half a second to find out."""
    chosen = (word.partition("=") for word in words)
    own = {ALIASES.get(group, group) for group, _, choice in chosen if is_own(choice)}
    for word in words:
        key = re.split(r"[=@]", word.lstrip("+~"), maxsplit=1)[0]
        head = re.split(r"[./]", key, maxsplit=1)[0]
        known = head in (*TrainConf.__dataclass_fields__, *GROUPS, *ALIASES, "hydra")
        inside = key != head and head in COMPONENTS and head not in own
        if not known or (inside and key not in component_keys(head)):
            raise unknown_key(key, [*TrainConf.__dataclass_fields__, *default_keys()])


def _split(word: str) -> tuple[str, str | None]:
    """Return the long name of a flag, and the value written together with it, if any."""
    name, equals, value = word.partition("=")
    if name in _SHORT:
        return _SHORT[name], value if equals else None
    if not name.startswith("--"):
        long = _SHORT.get(word[:2], word)
        return (long, word[2:]) if HYDRA_FLAGS.get(long) else (word, None)
    full = [flag for flag in HYDRA_FLAGS if flag.startswith(name) and len(name) > 4]
    flag = name if name in HYDRA_FLAGS or len(full) != 1 else full[0]
    return flag, value if equals else None


def _values(flag: str, rest: list[str]) -> list[str]:
    if flag == "--info":
        return [rest.pop(0)] if rest and rest[0] in _INFO else []
    if HYDRA_FLAGS[flag] and not rest:
        raise ConfigError(f"{flag} needs a value", "see grpo train --hydra-help")
    return [rest.pop(0) for _ in range(HYDRA_FLAGS[flag])]


def _no_flag(word: str, rest: list[str], conf: type, flags: Iterable[str]) -> ConfigError:
    name, equals, value = word.partition("=")
    if name in _REFUSED:
        return ConfigError(f"{name} is refused: {_REFUSED[name]}")
    if _split(word)[0] in HYDRA_FLAGS:
        return ConfigError(f"this verb does not take {word}", "grpo train does")
    key = name.lstrip("-").replace("-", "_")
    key = ALIASES.get(key, key)
    if not equals:
        value = rest[0] if rest and "=" not in rest[0] and not rest[0].startswith("-") else "..."
    if key in _keys(conf) or "." in key:
        return ConfigError(f"{name} is not a flag", f"write {key}={value}")
    near = nearest(name, [*flags, *_OURS], 1)
    keys = [] if near else nearest(key, _keys(conf), 1)
    fix = f"write {keys[0]}={value}" if keys else f"did you mean {near[0]}?" if near else ""
    return ConfigError(f"there is no flag {name}", fix or "settings are words: key=value")


def _override(word: str, conf: type) -> str:
    key, equals, _ = word.partition("=")
    if (key and equals) or (word.startswith("~") and len(word) > 1):
        return word
    if equals:
        raise ConfigError(f"cannot read the word {word}", "write key=value without spaces")
    if word in _keys(conf):
        raise ConfigError(f"{word} has no value", f"write {word}=...")
    if conf is TrainConf:
        fix = f"write env={word}" if word in listed_ids() else "write key=value, such as lr=0.001"
    else:
        fix = f"write {next(iter(_keys(conf)))}={word}"
    raise ConfigError(f"cannot read the word {word}", fix)


def _keys(conf: type) -> list[str]:
    return ["env", *everyday(conf), *GROUPS] if conf is TrainConf else list(everyday(conf))
