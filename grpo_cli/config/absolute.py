"""Files that a config names, so that they are found from any folder later on."""

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from grpo_cli.config import build, wrappers
from grpo_cli.config.build_text import absolute_model
from grpo_cli.config.learner import absolute_reference
from grpo_cli.config.schema import is_own

PARTS_WITH_CODE = (
    "group", "reward", "reward_scaling", "advantage", "loss", "kl", "entropy", "policy"
)  # fmt: skip


def name_absolutely(cfg: DictConfig) -> None:
    """Let every file named in the config be found from any folder later on.

    What is interpolated stays as it is written: it may come from an environment variable.
    """
    named = [(cfg.env, "id"), *((cfg[part], "name") for part in PARTS_WITH_CODE)]
    for node, key in named:
        _replace(node, key, build.absolute)
    if not OmegaConf.is_interpolation(cfg.env, "wrappers"):
        listed = OmegaConf.to_container(cfg.env.wrappers, resolve=False)
        cfg.env.wrappers = [
            node | {"name": build.absolute(node["name"])} for node in wrappers.settled(listed)
        ]
    if "functions" in cfg.reward and not is_own(cfg.reward.name):
        for place in range(len(cfg.reward.functions)):
            _replace(cfg.reward.functions, place, build.absolute)
    if cfg.policy.get("model") is not None:
        _replace(cfg.policy, "model", absolute_model)
    if "reference" in cfg.kl:
        _replace(cfg.kl, "reference", absolute_reference)


def _replace(node: DictConfig | ListConfig, key: Any, change: Callable[[str], str]) -> None:
    if not OmegaConf.is_interpolation(node, key):
        node[key] = change(node[key])
