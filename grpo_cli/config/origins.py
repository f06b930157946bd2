"""Where every value of a composed configuration came from."""

import re
from collections.abc import Iterator
from typing import Any

import yaml
from omegaconf import OmegaConf

from grpo_cli.config.compose import Composed, left_out
from grpo_cli.config.files import env_layer, find, leaves
from grpo_cli.config.schema import COMPONENTS

COMMAND_LINE = "command line"
DEFAULT = "default"


def origins(composed: Composed) -> dict[str, str]:
    """Return `{dotted key: origin}` for every leaf of the tree.

    An origin is `command line`, a file (`conf/env/CartPole-v1.yaml`), or `default`. Of several
    that set a key the last wins: default < component file < env file < preset < experiment <
    command line.
    """
    tree: Any = OmegaConf.to_container(composed.cfg)
    layers = list(_layers(composed))
    return {key: _origin(key, layers) for key, _ in leaves(tree)}


def _layers(composed: Composed) -> Iterator[tuple[str, set[str]]]:
    """Yield `(origin, keys set there)`, the strongest first."""
    yield COMMAND_LINE, _words(composed)
    no_more = set(left_out(composed))
    for group in ("experiment", "preset", "env", *COMPONENTS):
        chosen = composed.choices.get(group)
        for choice in chosen if isinstance(chosen, list) else [chosen]:
            if group == "env":
                layer = env_layer(str(choice), composed.dirs)
            else:
                layer = find(group, choice, composed.dirs) if isinstance(choice, str) else None
            if layer is not None:
                keys = {key for key, _ in leaves(layer.content)}
                yield layer.label, keys - no_more if group == "env" else keys


def _words(composed: Composed) -> set[str]:
    """Return the keys set by words; own code has no file, so its choice sets its name."""
    keys = {re.sub(r"^\++", "", word).partition("=")[0] for word in composed.overrides}
    chosen = {key for key in keys if key in composed.choices}
    return (keys - chosen) | {name for key in chosen for name in _own_names(composed, key)}


def _own_names(composed: Composed, group: str) -> Iterator[str]:
    """Yield the keys that a choice without a file sets: the name of own code, or an id."""
    choice = composed.choices[group]
    if isinstance(choice, list):
        nodes = [name for name in choice if find(group, name, composed.dirs) is None]
        yield from (f"{group}.{name}.name" for name in nodes)
    elif isinstance(choice, str) and find(group, choice, composed.dirs) is None:
        yield f"{group}.{'id' if group == 'env' else 'name'}"


def _origin(key: str, layers: list[tuple[str, set[str]]]) -> str:
    for origin, keys in layers:
        if any(key == setter or key.startswith(f"{setter}.") for setter in keys):
            return origin
    return DEFAULT


def with_origins(composed: Composed) -> dict[str, dict[str, Any]]:
    """Return `{dotted key: {"value": ..., "origin": ...}}`."""
    tree: Any = OmegaConf.to_container(composed.cfg)
    where = origins(composed)
    return {key: {"value": value, "origin": where[key]} for key, value in leaves(tree)}


def annotated(composed: Composed) -> str:
    """Return the tree as YAML, each leaf with its origin in an aligned comment."""
    tree: Any = OmegaConf.to_container(composed.cfg)
    where = origins(composed)
    lines = list(_lines(tree))
    width = max(len(text) for text, key in lines if key)
    return "\n".join(f"{text:<{width}}  # {where[key]}" if key else text for text, key in lines)


def _lines(tree: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield `(line of YAML, dotted key)`; the key is empty where a line has no value of its own."""
    for key, value in tree.items():
        name = f"{'  ' * depth}{_scalar(key)}:"
        if isinstance(value, dict) and value:
            yield name, ""
            yield from _lines(value, f"{prefix}{key}.", depth + 1)
        elif isinstance(value, list) and any(isinstance(entry, dict) for entry in value):
            yield name, f"{prefix}{key}"
            yield from ((f"{'  ' * depth}- {_scalar(entry)}", "") for entry in value)
        else:
            yield f"{name} {_scalar(value)}", f"{prefix}{key}"


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(
        value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")
