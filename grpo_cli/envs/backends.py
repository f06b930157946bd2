"""Backends: ways to step many members of one environment, and which to take."""

import json
from importlib.resources import files
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from grpo_cli.envs.native import NativeCartPole
from grpo_cli.envs.pool import EnvPool, require_envpool
from grpo_cli.envs.source import EnvSource
from grpo_cli.envs.sync import Sync
from grpo_cli.envs.workers import TIMEOUT_S, Workers
from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Ints

NAMES = ("auto", "sync", "native", "envpool", "async")


class Backend(Protocol):
    """M members of one environment."""

    name: str

    def reset(self, seeds: Ints) -> NDArray:
        """Reset the members with one seed each; observations [M, *O]."""
        ...

    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step members `ids` [B]: obs, reward, terminated, truncated, infos (may be empty)."""
        ...

    def close(self) -> None:
        """Free what the members hold."""
        ...


@runtime_checkable
class Restarts(Protocol):
    """A backend that can start some members while others go on."""

    def restart(self, ids: Ints, seeds: Ints) -> NDArray:
        """Reset members `ids` [B] with one seed each; observations [B, *O]."""
        ...


def make_backend(
    name: str,
    source: EnvSource,
    num_members: int,
    restarts: bool = False,
    timeout_s: float = TIMEOUT_S,
) -> tuple[Backend, str]:
    """Make the backend of this name.

    Args:
        name: `auto` (the fastest that is known to be correct for this environment), `sync`,
            `native`, `envpool` or `async`.
        source: the environment.
        num_members: how many members live side by side.
        restarts: `auto` must take one that can start a member while others go on.
        timeout_s: after which a worker process of `async` counts as hung.

    Returns:
        The backend, and why it was taken.

    Raises:
        ConfigError: no such backend, or it cannot run this environment.
        MissingPackage: it is not installed.
    """
    if name not in NAMES:
        raise ConfigError(f"backend={name} does not exist", f"choose one of {', '.join(NAMES)}")
    if name == "auto":
        name, why = _fastest(source, restarts)
    else:
        why = "asked for"
    if name == "native":
        if not is_native(source):
            raise ConfigError(
                f"{source.id} has no native vector version", "use backend=sync, or backend=auto"
            )
        return NativeCartPole(source.make, num_members, source.max_steps), why
    if name == "envpool":
        _require_pool(source)
        return EnvPool(source, num_members), why
    if name == "async":
        return Workers(source.make, num_members, timeout_s=timeout_s), why
    return Sync(source.make, num_members), why


def parity() -> dict[str, dict[str, Any]]:
    """Return the committed table of ids for which EnvPool was compared with Gymnasium."""
    return json.loads(files("grpo_cli.envs").joinpath("parity.json").read_text())


def correct(source: EnvSource, restarts: bool) -> tuple[str, ...]:
    """Return the backends that are known to be correct for an environment.

    Args:
        source: the environment.
        restarts: only those that can start a member while others go on.
    """
    names = ["sync", "async"]
    if not restarts and is_native(source):
        names.append("native")
    if not restarts and EnvPool.installed() and _agrees(source):
        names.append("envpool")
    return tuple(names)


def _agrees(source: EnvSource) -> bool:
    """Say whether EnvPool's version was compared with this very environment, and agrees."""
    return parity().get(source.id, {"agrees": False})["agrees"] and EnvPool.fits(source)


def _fastest(source: EnvSource, restarts: bool) -> tuple[str, str]:
    """Choose a backend; returns its name and why."""
    if restarts:
        return "sync", "it can restart one member alone"
    if is_native(source):
        return "native", "Gymnasium has a vector version of this id"
    entry = parity().get(source.id)
    if entry is None or not EnvPool.fits(source):
        return "sync", "works for every environment"
    if not entry["agrees"]:
        return "sync", "EnvPool's version of this id was not found to agree with Gymnasium's"
    if not EnvPool.installed():
        return "sync", "EnvPool is not installed (pip install 'grpo-cli[fast]' is faster here)"
    return "envpool", "EnvPool's version of this id agrees with Gymnasium's"


def is_native(source: EnvSource) -> bool:
    """Say whether the environment is an unchanged CartPole, which `native` steps."""
    if not source.id.startswith("CartPole"):
        return False
    plain = source.make()
    try:
        return NativeCartPole.fits(plain)
    finally:
        plain.close()


def _require_pool(source: EnvSource) -> None:
    require_envpool()
    import envpool

    if source.id not in envpool.list_all_envs() or not EnvPool.fits(source):
        raise ConfigError(
            f"EnvPool has no {source.id} with these arguments, wrappers and limit",
            "use backend=sync, or backend=auto",
        )
