"""The strict check of a composed configuration, before anything is built.

Hydra accepts `+typo=1` anywhere and knows no ranges; this does not. Keys and value types of a
component are those of its shipped YAML file; a person's own code takes what it likes.
"""

from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from grpo_cli.config.combinations import check_combinations
from grpo_cli.config.env_ids import require_package
from grpo_cli.config.files import Layer, conf_dir, find, leaves
from grpo_cli.config.rules import COMPONENT_RULES, Rule
from grpo_cli.config.schema import (
    COMPONENTS,
    GROUPS,
    MISSING,
    NAMED,
    EnvConf,
    TrainConf,
    everyday,
    is_own,
)
from grpo_cli.config.suggest import unknown_key
from grpo_cli.config.values import Expected, typed
from grpo_cli.config.wrappers import check_wrappers
from grpo_cli.errors import ConfigError

Dirs = tuple[Path, ...]
Tree = Mapping[str, Any]

ENV_FORMS = "env=CartPole-v1 (any Gymnasium id), env=./my_env.py:MyEnv or env=my_pkg:MyEnv-v0"


def check(cfg: DictConfig, choices: Tree, dirs: Dirs = ()) -> None:
    """Check every key and value of a composed configuration.

    Args:
        cfg: the tree, without Hydra's own node.
        choices: what was chosen for each group.
        dirs: the person's own config folders.

    Raises:
        ConfigError: the first thing that is wrong, with the nearest valid names.
        MissingPackage: the environment needs a package that is not installed.
    """
    _refuse_shadowed(choices, dirs)
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    layers = _component_layers(choices, dirs)
    valid = [entry.name for entry in fields(TrainConf)]
    for key in tree:
        if key not in valid:
            raise unknown_key(str(key), [*valid, *_keys(layers)])
    valid += _keys(layers)
    check_fields(tree, everyday())
    _check_env(tree["env"], valid)
    for group in COMPONENTS:
        if group != "sinks":
            _check_component(group, tree.get(group), choices.get(group), layers, valid)
    for name, node in (tree.get("sinks") or {}).items():
        _check_sink(str(name), node, layers.get(("sinks", str(name))), valid)
    check_combinations(tree, choices)


def _refuse_shadowed(choices: Tree, dirs: Dirs) -> None:
    """Refuse a person's own file that Hydra passed over for a shipped one of the same name."""
    for group, choice in choices.items():
        for folder in dirs if group in GROUPS and isinstance(choice, str) else ():
            own = folder / group / f"{choice}.yaml"
            if own.is_file() and (conf_dir() / group / f"{choice}.yaml").is_file():
                raise ConfigError(
                    f"{own} has the name of a shipped file, and Hydra takes the shipped one",
                    f"give it a name of its own: {group}=my_{choice.rpartition('/')[2]}",
                )


def check_fields(values: Tree, entries: Mapping[str, Field[Any]], prefix: str = "") -> None:
    """Check values against the type and the range in the metadata of dataclass fields.

    Raises:
        ConfigError: a value is of another type or out of range.
    """
    for name, entry in entries.items():
        Expected.of_field(entry).check(prefix + name, values[name])


def _check_env(env: Tree, valid: list[str]) -> None:
    known = [entry.name for entry in fields(EnvConf)]
    for key in env:
        if key not in known:
            raise unknown_key(f"env.{key}", [*valid, *(f"env.{name}" for name in known)])
    if env["id"] == MISSING:
        raise ConfigError("no environment named", f"write {ENV_FORMS}")
    require_package(env["id"])
    check_fields(env, everyday(EnvConf), "env.")
    check_wrappers(env["wrappers"])


def _component_layers(choices: Tree, dirs: Dirs) -> dict[tuple[str, str], Layer]:
    """Find the file of every choice; a person's own code has none."""
    found = {}
    for group in COMPONENTS:
        chosen = choices.get(group)
        for choice in chosen if isinstance(chosen, list) else [chosen]:
            layer = find(group, choice, dirs) if isinstance(choice, str) else None
            if layer is not None:
                found[group, choice] = layer
    return found


def _keys(layers: Mapping[Any, Layer]) -> list[str]:
    return [key for layer in layers.values() for key, _ in leaves(layer.content)]


def _check_component(
    group: str,
    node: Any,
    choice: Any,
    layers: Mapping[tuple[str, str], Layer],
    valid: list[str],
) -> None:
    if not choice or not isinstance(node, dict):
        raise ConfigError(f"no {group} chosen", f"write {group}=...; see grpo train --help")
    layer = layers.get((group, choice))
    if layer is None:
        _check_name(group, node, choice)
        return
    rules = COMPONENT_RULES if layer.shipped else {}
    _check_node(group, node, layer.content.get(group, {}), rules, valid)
    if layer.shipped:
        _check_combinations(group, node)


def _check_sink(name: str, node: Any, layer: Layer | None, valid: list[str]) -> None:
    if layer is not None:
        _check_node(f"sinks.{name}", node, layer.content["sinks"][name], {}, valid)
    elif not isinstance(node, dict) or not is_own(str(node.get("name", ""))):
        raise unknown_key(f"sinks.{name}", valid)


def _check_combinations(group: str, node: Tree) -> None:
    """Refuse values that are allowed one by one, and impossible together."""
    if group == "reward_scaling" and node["name"] == "clip" and node["low"] >= node["high"]:
        raise ConfigError(
            f"reward_scaling.low={node['low']} is not below reward_scaling.high={node['high']}",
            "give a lower bound below the upper bound",
        )
    per_step = group == "advantage" and (node["key"] not in ("group", "batch") or node["fallback"])
    if per_step and node["value"] == "return":
        raise ConfigError(
            "advantage.value=return compares whole members, which share no step",
            "write advantage=outcome, or advantage.key=group advantage.fallback=[]",
        )


def _check_node(
    group: str, node: Tree, shape: Tree, rules: Mapping[str, Rule], valid: list[str]
) -> None:
    for key in node:
        if key not in shape:
            raise unknown_key(f"{group}.{key}", valid)
    for key, default in shape.items():
        full = f"{group}.{key}"
        if key not in node:
            raise ConfigError(f"{full} was removed", f"write {full}={typed(default)}")
        Expected.of_default(default, rules.get(full, Rule())).check(full, node[key])
    if group in NAMED:
        _check_name(group, node, shape["name"])


def _check_name(group: str, node: Tree, name: str) -> None:
    if node.get("name") != name:
        raise ConfigError(f"{group}.name follows from the choice", f"write {group}=... instead")
