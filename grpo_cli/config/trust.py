"""What may be imported: a run folder is data until its marks show that this user made it here.

`seal` keeps a keyed digest of a run's config and of the source files it names; `verify` compares.
The key is a per-user secret that never leaves the user's state folder.
"""

import hashlib
import hmac
import importlib.util
import os
import secrets
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_cli.config.env_ids import SHIMS
from grpo_cli.config.schema import LISTS_OF_CODE, NAMED, is_own
from grpo_cli.config.suggest import did_you_mean, listed
from grpo_cli.errors import ConfigError

KNOWN_MODULES = ("gymnasium", "ale_py", "minigrid", "grpo_cli")
"""Modules that an id may name (`ale_py:ALE/Pong-v5`) without being anybody's own code."""


def seal(config_text: str, sources: Iterable[Path]) -> str:
    """Return the mark of a run made by this user on this computer.

    Args:
        config_text: `config.yaml` as it is stored.
        sources: the files its own code comes from, see `source_files`.

    Returns:
        HMAC-SHA256 in hex; empty when the secret cannot be kept or a source cannot be read. Such
        a run is a stranger's later on, which is safe and loses nothing but a question.
    """
    try:
        return _digest(_make_secret(), config_text, sources)
    except OSError:
        return ""


def verify(config_text: str, sources: Iterable[Path], mark: str) -> bool:
    """Say whether `mark` was made by `seal` here, from this very config and these very sources."""
    try:
        secret = _read_secret(_secret_path())
        if secret is None or not mark:
            return False
        expected = _digest(secret, config_text, sources)
    except OSError:
        return False
    return hmac.compare_digest(expected.encode(), mark.encode())


def _digest(secret: bytes, config_text: str, sources: Iterable[Path]) -> str:
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    parts = [config_text.encode()]
    for path in sorted(Path(source).absolute() for source in sources):
        parts += [str(path).encode(), path.read_bytes()]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)  # lengths: parts cannot be regrouped
    return digest.hexdigest()


def state_folder() -> Path:
    """Return where grpo keeps what is this user's, and not part of a run."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state else Path.home() / ".local" / "state"
    return base / "grpo"


def _secret_path() -> Path:
    return state_folder() / "secret"


def _read_secret(path: Path) -> bytes | None:
    """Return the secret, or None where there is none that only this user can read."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    if stat.st_uid != os.getuid() or stat.st_mode & 0o077:
        return None
    return path.read_bytes() or None


def _make_secret() -> bytes:
    path = _secret_path()
    known = _read_secret(path)
    if known is not None:
        return known
    path.unlink(missing_ok=True)  # others could read it: marks made with it prove nothing
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(32))
        with suppress(FileExistsError):
            os.link(name, path)  # whole or not at all, and the first of several processes wins
    finally:
        os.unlink(name)
    return path.read_bytes()


def own_code(cfg: DictConfig) -> list[str]:
    """Return what a config would import that is not shipped: `./my_env.py:Valve`, `pkg.fn`.

    Names inside known modules, and plain environment ids, are nobody's own.
    """
    tree: Any = OmegaConf.to_container(cfg, resolve=True)  # `${name}` may hide what is imported
    nodes = [tree.get(group) for group in NAMED if group != "sinks"]
    nodes += list((tree.get("sinks") or {}).values())
    named = [str(node.get("name", "")) for node in nodes if isinstance(node, dict)]
    named += [name for key in LISTS_OF_CODE for name in _listed(tree, key)]
    env = tree.get("env") or {}
    named += wrapper_names(env.get("wrappers"))
    found = [name for name in named if is_own(name)]
    env_id = str(env.get("id", ""))
    if ":" in env_id or _is_dotted(env_id) or env_id in SHIMS:
        found.insert(0, env_id)
    return list(dict.fromkeys(name for name in found if not _is_known(name)))


def _listed(tree: Any, key: str) -> list[str]:
    """Return the texts under a dotted key of a tree that may hold anything."""
    for part in key.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return [str(name) for name in tree] if isinstance(tree, list) else []


def wrapper_names(listed: Any) -> list[str]:
    """Return the names in `env.wrappers`, however they are written; see `config.wrappers`."""
    names: list[str] = []
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict):
            names += [str(entry["name"])] if "name" in entry else map(str, entry)
        else:
            names.append(str(entry))
    return names


def _is_dotted(env_id: str) -> bool:
    """Say whether an id is a path of Python names: Gymnasium's own ids end in `-v<number>`."""
    return "." in env_id and "-v" not in env_id


def _is_known(name: str) -> bool:
    return name.partition(":")[0].partition(".")[0] in KNOWN_MODULES


def source_files(names: Iterable[str]) -> list[Path]:
    """Return the files among `own_code` names: `./my_env.py:Valve` comes from `my_env.py`."""
    files = (name.rpartition(":")[0] or name for name in names)
    return [Path(file).expanduser().absolute() for file in files if file.endswith(".py")]


def load_own(name: str) -> Any:
    """Import a person's own class or function.

    Args:
        name: `pkg.mod.fn`, `pkg.mod:fn`, `./file.py:Name` or `/abs/file.py:Name`. Packages are
            looked for in the working folder too, files see their neighbours.

    Raises:
        ConfigError: no such file, module or attribute, or the import raised.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon:
        place, _, attribute = name.rpartition(".")
    if place.endswith(".py") or name.endswith(".py"):
        return _attribute(name, _load_file(name, place), attribute)
    return _attribute(name, _load_module(name, place), attribute)


def _load_file(name: str, place: str) -> ModuleType:
    if not place.endswith(".py"):
        raise ConfigError(f"{name} names a file but nothing in it", f"write {name}:Name")
    path = Path(place).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(f"{name}: there is no file {path}", "paths start at the working folder")
    module_name = f"grpo_own_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{name}: {path} is not a Python file")
    make_importable(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module  # classes of the file can be pickled
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[module_name]
        if isinstance(error, Exception):
            raise _raised(name, error) from error
        raise
    return module


def _load_module(name: str, place: str) -> ModuleType:
    make_importable(Path.cwd())
    try:
        return import_module(place)
    except ModuleNotFoundError as error:
        if error.name and (place + ".").startswith(error.name + "."):
            raise ConfigError(
                f"{name}: there is no module {error.name}",
                "install it, or run from the folder that contains it",
            ) from error
        raise _raised(name, error) from error
    except Exception as error:
        raise _raised(name, error) from error


def make_importable(folder: Path) -> None:
    """Let `import` find what is in `folder`, after everything that is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _raised(name: str, error: Exception) -> ConfigError:
    lines = str(error).strip().splitlines() or [""]
    return ConfigError(
        f"{name} could not be imported: {type(error).__name__}: {lines[0]}",
        "run again with --debug for the traceback",
    )


def _attribute(name: str, module: ModuleType, attribute: str) -> Any:
    if hasattr(module, attribute):
        return getattr(module, attribute)
    public = [word for word in dir(module) if not word.startswith("_")]
    near = did_you_mean(attribute, public)
    has = f"it has {listed(public)}" if public else ""
    raise ConfigError(f"{name}: there is no {attribute or 'name'} in it", near or has)
