"""Environment ids that are known without importing Gymnasium, and what each of them needs.

`python -m grpo_cli.config.env_ids` makes every environment of the packages that are installed and
writes `env_ids.txt` anew. Importing Gymnasium to answer a typo would cost 0.13 s.
"""

import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grpo_cli.errors import MissingPackage

LIST = Path(__file__).with_name("env_ids.txt")

MODULES = {
    "box2d": "Box2D", "mujoco": "mujoco", "atari": "ale_py", "minigrid": "minigrid",
    "text": "transformers",
}  # fmt: skip
"""Extras of grpo-cli that bring environments, and the module that tells whether one is there."""

REGISTER = {"atari": "ale_py", "minigrid": "minigrid"}
"""Modules that register ids when they are imported; they may be imported without asking."""

_PATTERNS = {"atari": r"ALE/.+", "minigrid": r"(MiniGrid|BabyAI)-.+", "text": r"text/.+"}

TEXT_TASKS = ("arithmetic", "blackjack", "copy", "countdown", "dataset", "jsonl")
"""What `grpo_cli.text.ask` has; Gymnasium knows nothing of them."""

FAMILIES = {"atari": "_atari", "minigrid": "_minigrid"}
"""Files of conf/env with what every environment of an extra needs in order to be trained on."""

SHIMS = ("GymV21Environment-v0", "GymV26Environment-v0")
"""Ids that import whatever their kwargs name; they are never taken for plain ids."""

_NEED_JAX = ("phys2d", "tabular")
# The first was made for mujoco < 3, whose API it still calls (Farama-Foundation/Gymnasium,
# pusher_v4.py); the others read pictures that minigrid 3.2.0 does not bring along.
_BROKEN = re.compile(r"Pusher-v4|MiniGrid-WFC-.*")


@dataclass(frozen=True)
class Listed:
    """One environment of the list.

    Attributes:
        id: as it is registered.
        extra: of grpo-cli, which it needs; empty where none.
        observation: its space, in short.
        action: its space, in short.
    """

    id: str
    extra: str
    observation: str
    action: str


@cache
def listed() -> dict[str, Listed]:
    """Return the committed list, by id."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return {entry.id: entry for entry in (Listed(*line.split("\t")) for line in lines)}


def listed_ids() -> tuple[str, ...]:
    """Return the ids of the committed list."""
    return tuple(listed())


def is_known(env_id: str) -> bool:
    """Say whether `env_id` is in the list or, failing that, in Gymnasium's registry.

    Nothing named by the id is imported: only Gymnasium, and the package of a known family.

    Raises:
        MissingPackage: the id is of a known family whose package is not installed.
    """
    if env_id in listed():
        return True
    if ":" in env_id or env_id in SHIMS:
        return False
    import_package(env_id)
    return env_id in import_module("gymnasium").registry


def extra_of(env_id: str) -> str:
    """Return the extra that an id needs, empty where none is known."""
    env_id = re.sub(r"^(ale_py|minigrid):", "", env_id)
    fits = (extra for extra, pattern in _PATTERNS.items() if re.fullmatch(pattern, env_id))
    entry = listed().get(env_id)
    return entry.extra if entry else next(fits, "")


def family(env_id: str) -> str | None:
    """Return the file of conf/env that an id without one of its own takes its settings from."""
    return FAMILIES.get(extra_of(env_id))


def require_package(env_id: str) -> None:
    """Raise unless the package is there that an id needs; nothing is imported.

    Raises:
        MissingPackage: it is not.
    """
    extra = extra_of(env_id)
    if extra and find_spec(MODULES[extra]) is None:
        raise MissingPackage(
            f"env {env_id} needs the package {MODULES[extra]}, which is not installed",
            f"pip install 'grpo-cli[{extra}]'",
        )


def import_package(env_id: str) -> None:
    """Import the package that registers `env_id`, where that package is a known one.

    Raises:
        MissingPackage: it is not installed.
    """
    require_package(env_id)
    extra = extra_of(env_id)
    module = "grpo_cli.envs" if env_id.startswith("grpo/") else REGISTER.get(extra)
    if module:
        package = import_module(module)
        import_module("gymnasium").register_envs(package)
    _hush(extra)


def _hush(extra: str) -> None:
    """Keep packages from writing to stdout, stderr and the working folder as they like."""
    if extra == "atari":  # it greets whenever a game is made
        ale = import_module("ale_py")
        ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)
    elif extra == "minigrid":  # BabyAI prints every level that it drew and rejected
        level = import_module("minigrid.envs.babyai.core.roomgrid_level")
        level.print = lambda *_: None  # type: ignore[attr-defined]
    elif extra == "mujoco":  # it keeps MUJOCO_LOG.TXT, and tells of its own models' old attributes
        _mujoco().set_mju_user_warning(_warn)


def _mujoco() -> Any:
    try:
        return import_module("mujoco")
    except Exception as error:  # PyOpenGL raises what it likes where its library is missing
        gl = os.environ.get("MUJOCO_GL")
        if gl is None:
            raise
        raise MissingPackage(
            f"MuJoCo cannot draw with MUJOCO_GL={gl}: {type(error).__name__}: {error}",
            import_module("grpo_cli.envs.display").OPENGL_FIX,
        ) from error


def _warn(text: str) -> None:
    if "is deprecated" not in text:
        warnings.warn(f"MuJoCo: {text}", stacklevel=2)


def generated() -> Iterable[Listed]:
    """Make every environment that is installed, and yield what the list says of it."""
    gym = import_module("gymnasium")
    for env_id in ("ALE/any", "MiniGrid-any", "grpo/any"):
        import_package(env_id)
    for env_id, spec in sorted(gym.registry.items()):
        removed = callable(spec.entry_point)  # such entries only raise: old MuJoCo, Gym shims
        if not removed and spec.namespace not in _NEED_JAX and not _BROKEN.fullmatch(env_id):
            env = gym.make(env_id, disable_env_checker=True)
            yield Listed(
                env_id,
                _extra_by(spec.entry_point),
                in_short(env.observation_space),
                in_short(env.action_space),
            )
            env.close()
    for task in TEXT_TASKS:
        yield Listed(f"text/{task}", "text", "Text", "Text")


def _extra_by(entry_point: str) -> str:
    package, _, inside = entry_point.partition(":")[0].partition(".")
    words = {package, *inside.split(".")}
    return next((extra for extra, module in MODULES.items() if words & {extra, module}), "")


def in_short(space: Any) -> str:
    """Return a space in a few characters: `Box(3)`, `Discrete(2)`, `Dict(image, mission)`."""
    kind = type(space).__name__
    if hasattr(space, "spaces"):
        parts = space.spaces if isinstance(space.spaces, dict) else map(in_short, space.spaces)
        return f"{kind}({', '.join(parts)})"
    if kind in ("Discrete", "MultiDiscrete", "MultiBinary"):
        return f"{kind}({getattr(space, 'nvec', getattr(space, 'n', ''))})"
    shape = "x".join(map(str, space.shape or ()))
    return f"{kind}({shape})" + (" uint8" if space.dtype == "uint8" else "")


if __name__ == "__main__":
    lines = ["\t".join(astuple(entry)) + "\n" for entry in generated()]
    LIST.write_text("".join(lines), encoding="utf-8")
