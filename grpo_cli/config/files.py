"""Where the YAML files of the config groups are, and what each of them sets."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from grpo_cli.config.env_ids import family
from grpo_cli.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent.parent
# libyaml where PyYAML was built with it, many times faster; both load plain values only.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def conf_dir() -> Path:
    """Return the folder of shipped config files: inside the package, or the source tree's.

    Raises:
        ConfigError: the installation lost its config files.
    """
    inside = PACKAGE / "conf"
    beside = PACKAGE.parent / "conf"
    for folder in (inside, beside):
        if (folder / "train.yaml").is_file():
            return folder
    raise ConfigError(f"no config files in {inside} or {beside}", "install grpo-cli again")


@dataclass(frozen=True)
class Layer:
    """One YAML file of a config group.

    Attributes:
        path: the file.
        shipped: it came with grpo, so its keys are the only ones its component takes.
        content: what it sets, as a nested dict from the root of the tree.
        choices: what it chooses of other groups: `{"advantage": "linear"}`.
    """

    path: Path
    shipped: bool
    content: dict[str, Any]
    choices: dict[str, str]

    @property
    def label(self) -> str:
        """The name shown to people: `conf/loss/clip.yaml`, or the path of a person's own."""
        if self.shipped:
            return f"conf/{self.path.relative_to(conf_dir()).as_posix()}"
        return str(self.path)


def find(group: str, choice: str, dirs: tuple[Path, ...] = ()) -> Layer | None:
    """Return the file of `group=choice` with what it inherits, or None where there is no file.

    Args:
        group: config group, such as `loss`.
        choice: name inside it, such as `clip` or `ALE/Pong-v5`.
        dirs: the person's own config folders, searched after the shipped one as Hydra does.
    """
    for folder in (conf_dir(), *dirs):
        path = folder / group / f"{choice}.yaml"
        if path.is_file():
            return Layer(path, folder == conf_dir(), *_read(path, group, dirs))
    return None


def env_layer(env_id: str, dirs: tuple[Path, ...] = ()) -> Layer | None:
    """Return the file of an environment, else that of its family, if there is one."""
    return find("env", env_id, dirs) or find("env", family(env_id) or "")


def shipped(group: str, choice: str) -> dict[str, Any]:
    """Return the node of a shipped component.

    Raises:
        ConfigError: the installation lost its file.
    """
    layer = find(group, choice)
    if layer is None:
        raise ConfigError(f"there is no {group}/{choice}.yaml", "install grpo-cli again")
    return layer.content[group]


def _read(path: Path, group: str, dirs: tuple[Path, ...]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a file sets and what it chooses, with what it inherits."""
    text = path.read_text(encoding="utf-8")
    content = yaml.load(text, Loader=LOADER) or {}  # noqa: S506 - a safe one
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is not a mapping of keys to values", "write key: value lines")
    inherited: dict[str, Any] = {}
    choices: dict[str, str] = {}
    for entry in content.pop("defaults", []):
        if isinstance(entry, dict):
            chosen = {str(key).removeprefix("override /"): value for key, value in entry.items()}
            choices |= {key: value for key, value in chosen.items() if isinstance(value, str)}
        elif isinstance(entry, str) and (layer := find(group, entry, dirs)) is not None:
            inherited, choices = overlay(inherited, layer.content), choices | layer.choices
    return overlay(inherited, _placed(content, _package(text, group))), choices


def _package(text: str, group: str) -> str:
    """Return the node a file is written for: Hydra's `# @package` line, or its group."""
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["#", "@package"] and len(words) == 3:
            return "" if words[2] == "_global_" else words[2]
        if words and not line.startswith("#"):
            break
    return group


def _placed(content: dict[str, Any], package: str) -> dict[str, Any]:
    for part in reversed(package.split(".") if package else []):
        content = {part: content}
    return content


def overlay(low: dict[str, Any], high: dict[str, Any]) -> dict[str, Any]:
    """Return `low` with everything that `high` sets put over it."""
    both = dict(low)
    for key, value in high.items():
        old = both.get(key)
        nested = isinstance(old, dict) and isinstance(value, dict)
        both[key] = overlay(old, value) if nested else value  # pyright: ignore[reportArgumentType]
    return both


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield `(dotted key, value)` of everything in `tree` that is not a filled dict."""
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def choices(group: str, dirs: tuple[Path, ...] = ()) -> list[str]:
    """Return the names that can be chosen for `group`, as far as there are files.

    Files that begin with `_` are there for others to take their settings from.
    """
    found: set[str] = set()
    for folder in (conf_dir(), *dirs):
        root = folder / group
        files = (path for path in root.rglob("*.yaml") if not path.name.startswith("_"))
        found |= {path.relative_to(root).with_suffix("").as_posix() for path in files}
    return sorted(found)


def defaults() -> dict[str, str]:
    """Return the choice that each group has when nobody names one."""
    tree = yaml.safe_load((conf_dir() / "train.yaml").read_text(encoding="utf-8"))
    pairs = [
        pair for entry in tree["defaults"] if isinstance(entry, dict) for pair in entry.items()
    ]
    return {
        group: " ".join(choice) if isinstance(choice, list) else choice
        for group, choice in pairs
        if not group.startswith("override ")
    }


def default_keys() -> list[str]:
    """Return the dotted keys of every component that is used when nobody chooses another."""
    layers = (find(group, choice) for group, choice in defaults().items())
    return [key for layer in layers if layer is not None for key, _ in leaves(layer.content)]


def component_keys(group: str) -> set[str]:
    """Return the dotted keys of all shipped choices of a group."""
    layers = (find(group, choice) for choice in choices(group))
    return {key for layer in layers if layer is not None for key, _ in leaves(layer.content)}
