"""What `env.wrappers` lists: three ways to write a wrapper, one way it is kept.

Gymnasium's own wrappers are found by their names in `gymnasium.wrappers`, a person's own by
`my_pkg.MyWrapper` or `./file.py:MyWrapper`: a class, or a function, of the environment and its
parameters.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from grpo_cli.config.schema import is_own
from grpo_cli.config.suggest import did_you_mean
from grpo_cli.config.trust import load_own
from grpo_cli.config.values import typed
from grpo_cli.errors import ConfigError

if TYPE_CHECKING:
    from grpo_cli.envs import Wrapper

Node = dict[str, Any]

FORMS = "write Name, {Name: value} or {name: Name, parameter: value}"

_STATISTICS = "keeps statistics of what each single environment saw, so a group is no group"
_FUNCTION = "takes a function, which no config file holds"
_OWN_WRAPPER = "write a wrapper of your own: env.wrappers=[./my_env.py:MyWrapper]"
_FILMS = "shows or records, which slows training down"
_ARRAYS = "returns other arrays than NumPy's"
REFUSED = {
    "NormalizeObservation": (_STATISTICS, "set policy.normalise=true"),
    "NormalizeReward": (_STATISTICS, "set reward_scaling=running_std"),
    "TimeLimit": ("is a key of its own here", "set env.max_steps=N, in the agent's steps"),
    "Autoreset": ("starts episodes by itself", "leave it out: grpo starts them"),
    "TransformObservation": (_FUNCTION, _OWN_WRAPPER),
    "TransformAction": (_FUNCTION, _OWN_WRAPPER),
    "TransformReward": (_FUNCTION, "set reward=./my_reward.py:fn, or " + _OWN_WRAPPER),
    "RecordVideo": (_FILMS, "grpo eval ckpt=last video=out.mp4 films what was learned"),
    "HumanRendering": (_FILMS, "grpo eval ckpt=last video=out.mp4 films what was learned"),
    "RenderCollection": (_FILMS, "grpo eval ckpt=last video=out.mp4 films what was learned"),
    "ArrayConversion": (_ARRAYS, _OWN_WRAPPER),
    "JaxToNumpy": (_ARRAYS, _OWN_WRAPPER),
    "JaxToTorch": (_ARRAYS, _OWN_WRAPPER),
    "NumpyToTorch": (_ARRAYS, _OWN_WRAPPER),
}
"""Wrappers of Gymnasium that cannot be used here, why, and what to write instead."""


def nodes(listed: Any) -> list[Node]:
    """Return wrappers as nodes: a name and parameters.

    `{Name: value}` sets the first parameter; its name is in the node only after `check_wrappers`
    has looked it up.

    Raises:
        ConfigError: an entry is neither a name nor a mapping.
    """
    if not isinstance(listed, list):
        raise ConfigError(
            f"env.wrappers must be a list, got {typed(listed)}", "write env.wrappers=[Name, ...]"
        )
    return [_node(entry) for entry in listed]


def _node(entry: Any) -> Node:
    if isinstance(entry, str) and entry:
        return {"name": _short(entry)}
    if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
        return {str(key): value for key, value in entry.items()} | {"name": _short(entry["name"])}
    if isinstance(entry, Mapping) and len(entry) == 1:
        ((name, value),) = entry.items()
        if isinstance(name, str) and name != "name":
            return {"name": _short(name), "": value}
    raise ConfigError(f"env.wrappers cannot hold {typed(entry)}", FORMS)


def _short(name: str) -> str:
    """Gymnasium's own need no module."""
    return re.sub(r"^gymnasium\.wrappers[.:](?=[A-Z])", "", name)


def check_wrappers(listed: Any) -> None:
    """Check the names and parameters of wrappers; code of the person's own is not imported yet.

    Raises:
        ConfigError: no such wrapper, one that cannot be used here, or other parameters.
    """
    for node in nodes(listed):
        if not is_own(node["name"]):
            _bound(node, _found(node["name"]))


def settled(listed: Any) -> list[Node]:
    """Return wrappers as they are kept: full nodes, parameters by name."""
    full = []
    for node in nodes(listed):
        is_short = "" in node
        full.append(_named(node, _found(node["name"])) if is_short else node)
    return full


def build_wrappers(listed: Any) -> list["Wrapper"]:
    """Find what wrappers name and bind their parameters.

    Raises:
        ConfigError: as `check_wrappers`, and where a person's own cannot be imported.
    """
    from grpo_cli.envs import Wrapper

    return [Wrapper(node["name"], _bound(node, _found(node["name"]))) for node in nodes(listed)]


def _found(name: str) -> Callable[..., Any]:
    """Find a wrapper by name.

    Raises:
        ConfigError: no such wrapper, or one that cannot be used here.
    """
    if is_own(name):
        found = load_own(name)
        if not callable(found):
            raise ConfigError(f"{name} is no wrapper", "name a class or function of env")
        return found
    if name in REFUSED:
        why, fix = REFUSED[name]
        raise ConfigError(f"{name} {why}", fix)
    module = import_module("gymnasium.wrappers")
    names = [word for word in module.__all__ if word[0].isupper() and word not in REFUSED]
    if name not in names:
        guess = did_you_mean(name, names)
        raise ConfigError(
            f"there is no wrapper {name}", guess or f"gymnasium.wrappers has {', '.join(names)}"
        )
    return getattr(module, name)


def _named(node: Node, found: Callable[..., Any]) -> Node:
    """Give the value of `{Name: value}` the name of the first parameter."""
    if "" not in node:
        return node
    parameters = list(inspect.signature(found).parameters)[1:]
    if not parameters:
        raise ConfigError(f"{node['name']} has no parameters", f"write {node['name']} alone")
    return {parameters[0] if key == "" else key: value for key, value in node.items()}


def _bound(node: Node, found: Callable[..., Any]) -> Callable[..., Any]:
    """Bind parameters; a list becomes the tuple or the array that Gymnasium asks for."""
    name, signature = node["name"], inspect.signature(found)
    given = {key: value for key, value in _named(node, found).items() if key != "name"}
    try:
        signature.bind(None, **given)
    except TypeError as error:
        takes = [f"{p.name}" for p in list(signature.parameters.values())[1:]]
        near = [did_you_mean(key, takes) for key in given if key not in takes]
        has = f"it takes {', '.join(takes)}" if takes else "it takes no parameters"
        raise ConfigError(f"{name}: {error}", next(filter(None, near), has)) from error
    for key, value in given.items():
        if isinstance(value, list):
            is_array = key in signature.parameters and "ndarray" in str(
                signature.parameters[key].annotation
            )
            given[key] = import_module("numpy").array(value) if is_array else _tuple(value)
    return partial(found, **given) if given else found


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value
