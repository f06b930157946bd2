"""Environment ids that are known without importing Gymnasium.

`python -m grpo_cli.config.env_ids` writes `env_ids.txt` anew from the registry of the Gymnasium
that is installed. Importing Gymnasium to answer a typo would cost 0.13 s.
"""

from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pathlib import Path

from grpo_cli.errors import MissingPackage

LIST = Path(__file__).with_name("env_ids.txt")

NAMESPACES = {"ALE": ("ale_py", "ale-py"), "grpo": ("grpo_cli.envs", "grpo-cli")}
"""Ids before the slash whose package may be imported without asking: (module, pip name)."""

SHIMS = ("GymV21Environment-v0", "GymV26Environment-v0")
"""Ids that import whatever their kwargs name; they are never taken for plain ids."""

_NEED_JAX = ("phys2d", "tabular")
# Made for mujoco < 3, whose API it still calls (Farama-Foundation/Gymnasium, pusher_v4.py).
_BROKEN = ("Pusher-v4",)


@cache
def listed_ids() -> tuple[str, ...]:
    """Return the committed list."""
    return tuple(LIST.read_text(encoding="utf-8").split())


def is_known(env_id: str) -> bool:
    """Say whether `env_id` is in the list or, failing that, in Gymnasium's registry.

    Nothing named by the id is imported: only Gymnasium, and the package of a known namespace.

    Raises:
        MissingPackage: the id is in a known namespace whose package is not installed.
    """
    if env_id in listed_ids():
        return True
    if ":" in env_id or env_id in SHIMS:
        return False
    import_namespace(env_id)
    return env_id in import_module("gymnasium").registry


def import_namespace(env_id: str) -> None:
    """Import the package that registers `env_id`, where that package is a known one.

    Raises:
        MissingPackage: it is not installed.
    """
    module, pip_name = NAMESPACES.get(env_id.partition("/")[0], ("", ""))
    if not module or "/" not in env_id:
        return
    try:
        package = import_module(module)
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"env {env_id} needs the package {pip_name}", f"pip install {pip_name}"
        ) from error
    import_module("gymnasium").register_envs(package)


def _generate() -> Iterable[str]:
    import_namespace("grpo/")
    for env_id, spec in import_module("gymnasium").registry.items():
        removed = callable(spec.entry_point)  # such entries only raise: old MuJoCo, Gym shims
        if not removed and spec.namespace not in _NEED_JAX and env_id not in _BROKEN:
            yield env_id


if __name__ == "__main__":
    LIST.write_text("".join(f"{env_id}\n" for env_id in sorted(_generate())), encoding="utf-8")
