"""From a checked config to built parts.

The only place that knows both the words of a config and the objects they stand for. Below here
everything takes plain arguments.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from grpo_cli import advantages, entropy, groups, kl, losses, policies, reward_functions, rewards
from grpo_cli.config import files
from grpo_cli.config.schema import is_own
from grpo_cli.config.trust import load_own
from grpo_cli.envs import Backend, EnvSource, make_backend
from grpo_cli.errors import ConfigError
from grpo_cli.groups.selection import GroupMode
from grpo_cli.policies import Policy, make_policy
from grpo_cli.randomness import Purpose, rng
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.reward_functions import weighted
from grpo_cli.sinks.view import View
from grpo_cli.train import Sampler

Words = dict[str, Any]

# Beside `name` and the parameters of the function it names, a node may hold keys for the builder.
BUILDER_KEYS: dict[ModuleType, frozenset[str]] = {
    groups: frozenset("candidates selector drop_dead max_resample".split()),
    rewards: frozenset({"scope"}),
    policies: frozenset("bounds std log_std normalise init head_gain".split()),
    kl: frozenset("coef where reference sync_every sync_alpha target horizon".split()),
    entropy: frozenset("coef target step low high top_quantile".split()),
}

# What a function of the package is called with, beside the parameters of its node.
CALLED_WITH = {
    reward_functions: ("rollout",),
    rewards: ("reward",),
    advantages: ("rollout", "reward", "gamma"),
    losses: ("new", "batch"),
    kl: ("new", "batch"),
    entropy: ("new",),
    policies: ("space",),
}


def plain(cfg: DictConfig) -> Words:
    """Return a config as plain dicts, interpolations resolved.

    A person's own code, or a run of an older version, may lack keys that the builder reads; these
    get the shipped values.
    """
    words: Words = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    for group, package in (("policy", policies), ("kl", kl), ("entropy", entropy)):
        layer = files.find(group, files.defaults()[group])
        shipped = layer.content[group] if layer is not None else {}
        given = {key: shipped[key] for key in shipped if key in BUILDER_KEYS[package] - {"coef"}}
        words[group] = given | words[group]
    return words


def component(package: ModuleType, node: Words) -> Callable[..., Any]:
    """Find what a node names and bind its parameters.

    Raises:
        ConfigError: nothing of that name, or it does not take the parameters.
    """
    name = node["name"]
    builders = BUILDER_KEYS.get(package, frozenset()) | {"name"}
    given = {key: value for key, value in node.items() if key not in builders}
    if is_own(name):
        found = load_own(name)
        _check_call(name, found, given, package)
    elif name in package.__all__:
        found = getattr(package, name)
    else:
        raise ConfigError(
            f"{package.__name__} has no {name}", f"it has {', '.join(package.__all__)}"
        )
    if isinstance(found, type) and package not in (groups, policies):
        try:
            return found(**given)
        except TypeError as error:
            raise ConfigError(f"{name} does not take these parameters: {error}") from error
    return partial(found, **given) if given else found


def _check_call(name: str, found: object, given: Words, package: ModuleType) -> None:
    """Refuse own code that cannot be called as its part is, before a step is simulated."""
    if not callable(found):
        raise ConfigError(f"{name} is no function or class", "name something that can be called")
    if package not in CALLED_WITH:
        return
    is_class = isinstance(found, type) and package is not policies
    called_with = () if is_class else CALLED_WITH[package]
    signature = inspect.signature(found)
    further = {rewards: "rollout", advantages: "score_norm"}.get(package, "")
    if further in signature.parameters:
        given = {**given, further: None}
    try:
        signature.bind(*called_with, **given)
    except TypeError as error:
        words = ", ".join([*called_with, *(f"{key}=" for key in given)])
        raise ConfigError(
            f"{name} cannot be called as f({words}): {error}",
            "parameters of its own are given as +group.key=value, such as +loss.k=1",
        ) from error


def check_own(words: Words) -> None:
    """Refuse a person's own code where none can be taken.

    Raises:
        ConfigError: naming the part.
    """
    sinks = [node["name"] for node in words["sinks"].values()]
    for part, name in [("optim", words["optim"]["name"]), *(("sinks", name) for name in sinks)]:
        if is_own(name):
            raise ConfigError(
                f"{part} cannot be code of your own yet, got {name}",
                "env, reward, reward_scaling, advantage, loss, kl, entropy and policy can",
            )


def build_device(word: str, threads: int = 1, number: int = 0) -> torch.device:
    """Choose the device; on the CPU, torch gets so many threads.

    Args:
        word: what was asked for; `cuda` gives each process of a computer the next GPU.
        threads: of torch.
        number: of this process among those of its computer.

    Raises:
        ConfigError: the device is not there.
    """
    if word.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device={word}, but torch sees no CUDA device", "use device=cpu")
    if word == "cuda":
        word = f"cuda:{number % torch.cuda.device_count()}"
    device = torch.device("cpu" if word == "auto" else word)
    if device.type == "cpu":
        torch.set_num_threads(threads)
    return device


def build_policy(words: Words, source: EnvSource, device: torch.device) -> Policy:
    """Build the policy with its initial weights."""
    node = words["policy"]
    return make_policy(
        component(policies, node),
        source.observation_space,
        source.codec.family,
        rng(words["seed"], Purpose.INIT),
        device,
        **{key: node[key] for key in ("log_std", "normalise", "init", "head_gain")},
    )


def build_sampler(
    words: Words, source: EnvSource, view: View, reward: weighted, ranks: Ranks = ALONE
) -> tuple[Sampler, Backend]:
    """Build the group mode and its backend; `reward` tells groups that are worth nothing.

    Raises:
        ConfigError: the group mode does not allow it, or it would take too much memory.
    """
    node, num_groups, group_size = words["group"], words["num_groups"], words["group_size"]
    played = node.get("candidates") or group_size
    max_resample = node.get("max_resample", 0)
    make = component(groups, node)
    greedy = {"greedy": True} if words["advantage"].get("baseline") == "greedy" else {}
    if greedy and "greedy" not in inspect.signature(make).parameters:
        raise ConfigError(
            f"group={node['name']} has no greedy members, and advantage.baseline=greedy needs them",
            "set group=episodes, or another advantage.baseline",
        )
    settings = {key: node[key] for key in node if key not in BUILDER_KEYS[groups] | {"name"}}
    # A person's own mode may say nothing: it is taken to play whole episodes.
    asks = getattr(getattr(make, "func", make), "demand", groups.episodes.demand)
    mine = len(ranks.share(num_groups))
    demand = asks(mine, played + bool(greedy), source.max_steps, **settings)
    groups.check_memory(source, demand.rows * (1 + max_resample))
    name, *waits = words["backend"].values()
    backend, why = make_backend(name, source, demand.slots, demand.restarts, *waits)
    view.notice(f"backend {backend.name}: {why}")
    mode = make(backend, source.codec, num_groups, played, words["seed"], **greedy)
    return selecting(mode, words, reward, ranks), backend


def selecting(mode: GroupMode, words: Words, reward: weighted, ranks: Ranks) -> Sampler:
    """Let a group mode choose among what it plays, where that is asked for.

    Args:
        mode: plays `group.candidates` members a group, or as many as are kept.
        words: the config.
        reward: tells groups that are worth nothing.
        ranks: who plays the other groups.
    """
    node, num_groups, group_size = words["group"], words["num_groups"], words["group_size"]
    drop_dead = node.get("drop_dead", False)
    if (node.get("candidates") or group_size) == group_size and not drop_dead:
        return mode if ranks.size == 1 else groups.Share(mode, num_groups, ranks)
    return groups.Selection(
        mode,
        reward,
        num_groups=num_groups,
        group_size=group_size,
        seed=words["seed"],
        selector=node.get("selector", "spread"),
        drop_dead=drop_dead,
        max_resample=node.get("max_resample", 0),
        ranks=ranks,
    )


def build_score(
    words: Words,
    reward: weighted,
    survey: Callable[..., Any],
    over: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda advantage: advantage,
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Build `f(rollout) -> Scored`; returns it with the reward scaling, which may have a state.

    Args:
        words: the whole config.
        reward: what a step is worth.
        survey: the learner's; what scoring has to know of the policy.
        over: what the advantage sees of a rollout, `f(advantage) -> advantage`.

    Raises:
        ConfigError: a part does not exist, or its settings do not fit each other.
    """
    scaling = component(rewards, words["reward_scaling"])
    if reward.aggregate == "normalise_then_sum" and hasattr(scaling, "state"):
        raise ConfigError(
            f"reward_scaling={words['reward_scaling']['name']} follows one stream of rewards, and "
            "reward.aggregate=normalise_then_sum scales each function on its own",
            "set reward_scaling=none, or reward.aggregate=sum_then_normalise",
        )
    advantage, node = component(advantages, words["advantage"]), words["advantage"]
    levels = [node, *node.get("plus", ())]
    # Ours takes it as well, and asks for the pass over the rollout only where it uses it.
    asks = is_own(node["name"]) or any(level.get("baseline") == "score_norm" for level in levels)
    takes = "score_norm" in inspect.signature(advantage).parameters
    if node["name"] == "peer":
        advantages.check_peer({key: node[key] for key in node if key != "name"})
    score = partial(
        advantages.score,
        reward_scaling=scaling,
        scope=words["reward_scaling"].get("scope", "batch"),
        advantage=over(advantage),
        gamma=words["gamma"],
        reward=reward,
        survey=partial(survey, needs=("score_norm",) if asks and takes else ()),
    )
    return score, scaling


def stopping_return(words: Words, source: EnvSource) -> float | None:
    """Return the mean reward that ends training, or None."""
    word = words["stop_at"]
    if word == "auto":
        return source.reward_threshold
    return None if word in (None, "none") else float(word)


def absolute(name: str) -> str:
    """Make the file in a name such as `./env.py:Valve` absolute, so that it is found again."""
    path, colon, attribute = name.rpartition(":")
    return f"{Path(path).resolve()}{colon}{attribute}" if path.endswith(".py") else name
