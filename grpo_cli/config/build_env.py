"""From the words of `env` to an environment that was opened."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from grpo_cli.config.env_ids import import_package
from grpo_cli.config.trust import KNOWN_MODULES, load_own, make_importable
from grpo_cli.config.wrappers import build_wrappers
from grpo_cli.envs import EnvSource, open_env, settled
from grpo_cli.errors import ConfigError, MissingPackage
from grpo_cli.sinks.view import View


def build_env(words: dict[str, Any], view: View | None = None) -> EnvSource:
    """Open the environment a config names, and decide whether it is made anew for every episode.

    Args:
        words: the whole config.
        view: where to say what was decided.

    Raises:
        GrpoError: it cannot be used.
    """
    env = words["env"]
    if env["id"].startswith("text/"):
        raise ConfigError(
            f"env={env['id']} asks in words, and this is for environments of numbers",
            "grpo train, eval, play and export take it",
        )
    own = load_own(env["id"]) if ".py:" in env["id"] else None
    if own is None and ":" in env["id"]:
        _look_for_package(env["id"])
    import_package(env["id"])
    policy = words["policy"]
    source = open_env(
        env["id"],
        env["kwargs"],
        env["max_steps"],
        own,
        policy["bounds"],
        policy["std"],
        wrappers=build_wrappers(env["wrappers"]),
    )
    probe = words["backend"]["name"] != "async"
    source, repeats = settled(source, env["fresh"], probe)
    if view is not None and source.fresh:
        view.notice(f"{source.id} is made anew for every episode: a used one is not the same")
    if view is not None and not repeats:
        view.warn(
            f"{source.id} does not repeat an episode from its seed: members of a group differ by "
            f"more than what they do (grpo doctor env={source.id})"
        )
    return source


def _look_for_package(env_id: str) -> None:
    """Let Gymnasium import the package of `pkg:Env-v0`, which registers the id.

    Raises:
        ConfigError: neither the working folder nor the installation has it.
        MissingPackage: the same, of a package that is well known.
    """
    package = env_id.partition(":")[0]
    make_importable(Path.cwd())
    try:
        found = find_spec(package) is not None
    except (ImportError, ValueError):
        found = False
    if not found and package in KNOWN_MODULES:
        raise MissingPackage(f"{env_id} needs {package}", f"pip install {package}")
    if not found:
        raise ConfigError(
            f"{env_id}: there is no module {package}",
            "install it, or run from the folder that contains it",
        )
