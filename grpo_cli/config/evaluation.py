"""The words of `grpo eval`."""

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from grpo_cli.config.check import check_fields
from grpo_cli.config.schema import MISSING, EvalConf, everyday
from grpo_cli.config.suggest import unknown_key
from grpo_cli.config.values import Expected
from grpo_cli.errors import ConfigError


def eval_conf(words: list[str]) -> EvalConf:
    """Return what `grpo eval key=value...` asks for.

    Raises:
        ConfigError: unknown key, wrong type, out of range, or no checkpoint named.
    """
    entries = everyday(EvalConf)
    conf = OmegaConf.structured(EvalConf)
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
    return EvalConf(**values)
