"""What Hydra and OmegaConf complain about, in one line, with the nearest valid names."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    OmegaConfBaseException,
    ValidationError,
)

from grpo_cli.config import files
from grpo_cli.config.check import ENV_FORMS
from grpo_cli.config.env_ids import listed_ids
from grpo_cli.config.schema import GROUPS, NAMED, EnvConf, everyday, is_own
from grpo_cli.config.suggest import did_you_mean, listed, unknown_key
from grpo_cli.config.values import Expected, typed
from grpo_cli.errors import ConfigError, GrpoError

Dirs = tuple[Path, ...]


@contextmanager
def explained(dirs: Dirs = ()) -> Iterator[None]:
    """Turn exceptions of Hydra and OmegaConf into ConfigError.

    Args:
        dirs: the person's own config folders, whose files are suggested as well.
    """
    try:
        yield
    except GrpoError:
        raise
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, dirs) from error


def _explain(error: Exception, dirs: Dirs) -> ConfigError:
    if isinstance(error, MissingConfigException):
        return _no_choice(error, dirs)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"cannot read the word {error.override!r}",
            "write key=value; quote values with spaces or brackets: 'key=\"a b\"'",
        )
    cause: Any = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, ValidationError):
        return _wrong_type(cause)
    if isinstance(cause, InterpolationResolutionError):
        return ConfigError(f"{cause.full_key}: {_first_line(cause)}", "see what ${...} names")
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        return _no_key(cause)
    return _other(str(error))


def _no_choice(error: MissingConfigException, dirs: Dirs) -> ConfigError:
    missing = error.missing_cfg_file or ""
    group, _, choice = missing.partition("/")
    if group not in GROUPS:
        return ConfigError(_first_line(error), "see grpo train --hydra-help for Hydra's flags")
    return no_choice(group, choice, dirs)


def no_choice(group: str, choice: str, dirs: Dirs = ()) -> ConfigError:
    """Return the error for a choice that does not exist."""
    names = files.choices(group, dirs)
    if group == "env":
        guess = did_you_mean(choice, [*names, *listed_ids()])
        return ConfigError(f"no environment called {choice}", guess or f"write {ENV_FORMS}")
    own = f", or your own code: {group}=my_pkg.fn" if group in NAMED else ""
    guess = did_you_mean(choice, names)
    if group == "experiment":
        guess = guess or "name the folder that has it: --config-dir runs/sweeps/<name>"
    if group == "preset":
        guess = f"{guess} grpo presets lists them".lstrip()
    return ConfigError(f"no {group} called {choice}", guess or f"choose {listed(names, 'or')}{own}")


def _wrong_type(cause: ValidationError) -> ConfigError:
    key = cause.full_key or ""
    value = re.search(r"[Vv]alue '(.*?)' of type", str(cause), re.DOTALL)
    got = f", got {value[1]}" if value else ""
    known = {**everyday(), **{f"env.{n}": entry for n, entry in everyday(EnvConf).items()}}
    if key not in known:
        return ConfigError(f"{key} has the wrong type{got}", "see grpo train --help")
    expected = Expected.of_field(known[key])
    fix = f"for example {key}={typed(expected.default)}"
    return ConfigError(f"{key} must be {expected.words}{got}", fix)


def _no_key(cause: OmegaConfBaseException) -> ConfigError:
    key = cause.full_key or ""
    group = key.partition(".")[0]
    node = cause.parent_node
    root = node._get_root() if node is not None else None
    tree: Any = OmegaConf.to_container(root) if isinstance(root, DictConfig) else {}
    known = {key: value for key, value in tree.items() if key != "hydra"}
    name = str((known.get(group) or {}).get("name", "")) if group in NAMED else ""
    if is_own(name):
        return ConfigError(
            f"{name} has no key {key} yet", f"give your own code its own: +{key}=..."
        )
    return unknown_key(key, [*everyday(), *(key for key, _ in files.leaves(known)), *GROUPS])


def _other(text: str) -> ConfigError:
    if "You must specify 'env'" in text:
        return ConfigError("no environment named", f"write {ENV_FORMS}")
    ambiguous = re.search(r"Ambiguous value for argument '(.*?)'", text)
    if ambiguous:
        return ConfigError(
            f"{ambiguous[1]} has several values", "add -m to run each, or quote a text with commas"
        )
    return ConfigError(text.strip().splitlines()[0], "see grpo train --help")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
