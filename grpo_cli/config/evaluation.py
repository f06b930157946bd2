"""The words of verbs that take a checkpoint, such as `grpo eval`."""

from typing import TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from grpo_cli.config.check import check_fields
from grpo_cli.config.schema import MISSING, EvalConf, everyday
from grpo_cli.config.suggest import unknown_key
from grpo_cli.config.values import Expected
from grpo_cli.errors import ConfigError

Conf = TypeVar("Conf")


def eval_conf(words: list[str]) -> EvalConf:
    """Return what `grpo eval key=value...` asks for; see `conf_of`."""
    return conf_of(EvalConf, words)


def conf_of(kind: type[Conf], words: list[str]) -> Conf:
    """Return what `key=value...` asks for.

    Args:
        kind: the dataclass that lists the keys.
        words: of the command line.

    Raises:
        ConfigError: unknown key, wrong type, out of range, or no checkpoint named.
    """
    entries = everyday(kind)
    conf = OmegaConf.structured(kind)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"cannot read the word {word!r}", "write key=value")
        if key not in entries:
            raise unknown_key(key, entries)
        try:
            conf.merge_with_dotlist([word])
        except OmegaConfBaseException as error:
            expected = Expected.of_field(entries[key])
            raise ConfigError(f"{key} must be {expected.words}, got {value}") from error
    if OmegaConf.is_missing(conf, "ckpt"):
        raise ConfigError(
            "no checkpoint named",
            "write ckpt=last, ckpt=best, ckpt=<run folder> or ckpt=<run>/best",
        )
    values = {str(key): value for key, value in conf.items() if value != MISSING}
    check_fields(values, entries)
    return kind(**values)
