"""From words to a checked configuration, with or without Hydra's own command line."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict

from grpo_cli.config.check import check
from grpo_cli.config.explain import explained
from grpo_cli.config.files import LOADER, conf_dir, env_layer, find, leaves
from grpo_cli.config.schema import COMPONENTS
from grpo_cli.config.words import register, restore, rewrite

FORMULAS = ("advantage", "loss")
"""Groups whose choices are published formulas."""
COMMON = ("group.same_start",)
"""Keys whose default is what published groups have in common: one problem, one start."""


@dataclass(frozen=True)
class Composed:
    """A configuration and how it came about.

    Attributes:
        cfg: the tree, unresolved.
        choices: what was chosen for each group: `{"loss": "clip", "sinks": ["tensorboard"]}`.
        overrides: the words of this job, as a person would type them.
        dirs: the person's own config folders.
    """

    cfg: DictConfig
    choices: dict[str, Any]
    overrides: list[str]
    dirs: tuple[Path, ...]

    def check(self) -> None:
        """Raise ConfigError unless every key exists and every value is allowed."""
        with explained(self.dirs):
            check(self.cfg, self.choices, self.dirs)


def compose(words: list[str]) -> DictConfig:
    """Compose and check the configuration that `grpo train` would get from `words`.

    Raises:
        ConfigError: what is wrong, and the nearest valid names.
    """
    composed = compose_all(words)
    composed.check()
    return composed.cfg


def compose_all(words: list[str], dirs: Iterable[Path | str] = ()) -> Composed:
    """Compose without checking, and keep how it came about.

    Args:
        words: `key=value` overrides.
        dirs: further config folders (`--config-dir`).

    Raises:
        ConfigError: Hydra could not compose it.
    """
    folders = tuple(Path(folder).absolute() for folder in dirs)
    search = [f"hydra.searchpath=[{','.join(f'file://{f}' for f in folders)}]"] if folders else []
    with explained(folders):
        absolute = register(words, folders)
        overrides = search + [rewrite(word) for word in words]
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            tree = hydra.compose("train", overrides, return_hydra_config=True)
    cfg = OmegaConf.masked_copy(tree, [str(key) for key in tree if key != "hydra"])
    return composed_of(cfg, tree.hydra, absolute)


def composed_of(cfg: DictConfig, own: Any, absolute: Mapping[str, str]) -> Composed:
    """Keep what Hydra's own node `own` knows about how `cfg` came about."""
    shipped = conf_dir()
    # Unresolved: Hydra keeps `lr=${gamma}` among the words, where it means nothing.
    chosen: Any = OmegaConf.to_container(own.runtime.choices, resolve=False)
    words: Any = OmegaConf.to_container(own.overrides.task, resolve=False)
    dirs = [Path(s.path) for s in own.runtime.config_sources if s.schema == "file"]
    composed = Composed(
        cfg=cfg,
        choices={
            **{group: absolute.get(choice, choice) for group, choice in chosen.items()},
            "sinks": [str(name) for name in cfg.get("sinks") or {}],  # Hydra keeps no lists
        },
        overrides=[restore(word, absolute) for word in words],
        dirs=tuple(folder for folder in dirs if folder != shipped),
    )
    _leave_out(composed)
    return composed


def left_out(composed: Composed) -> dict[str, Any]:
    """Return what is left out of what the environment's file says, and what stands there instead.

    Its `group.noise_steps` is for `group=episodes`, and means nothing where a preset or a word has
    chosen `group=branches`. Its `advantage.scale` is for the advantage that it was tuned with: in
    another, a published one, it would change what was published; so would its `group.same_start`,
    which presets take for granted. What a person typed stays, for the check to refuse, and so does
    what a preset or an experiment says.

    Returns:
        By dotted key the component's own value, or `MISSING` where it has no such key.
    """
    layer = env_layer(str(composed.choices.get("env")), composed.dirs)
    if layer is None:
        return {}
    meant = {**_defaults(), **layer.choices}
    above = [find(g, str(composed.choices.get(g)), composed.dirs) for g in ("preset", "experiment")]
    changed = {group for group in FORMULAS if composed.choices.get(group) != meant.get(group)}
    if above[0]:  # a preset's choice is the published one, be it the name that the file chose too
        changed |= set(FORMULAS) & set(above[0].choices)
    published = bool(changed) or composed.choices.get("preset") not in (None, "none")
    said = {word.lstrip("+").partition("=")[0] for word in composed.overrides}
    said |= {key for other in above if other for key, _ in leaves(other.content)}
    found = {}
    for key, _ in leaves(layer.content):
        group = key.partition(".")[0]
        chosen = composed.choices.get(group) if group in COMPONENTS else None
        own = find(group, chosen, composed.dirs) if isinstance(chosen, str) else None
        if own is None or key in said:
            continue
        value = dict(leaves(own.content)).get(key, MISSING)
        if value == MISSING or group in changed or (published and key in COMMON):
            found[key] = value
    return found


def _leave_out(composed: Composed) -> None:
    for key, value in left_out(composed).items():
        group, _, name = key.partition(".")
        with open_dict(composed.cfg):
            if value == MISSING:
                composed.cfg[group].pop(name, None)
            else:
                composed.cfg[group][name] = value


def _defaults() -> dict[str, str]:
    """Return what is chosen of each group where nobody chooses."""
    text = (conf_dir() / "train.yaml").read_text(encoding="utf-8")
    listed = yaml.load(text, Loader=LOADER)["defaults"]  # noqa: S506 - a safe one
    return {group: name for one in listed if isinstance(one, dict) for group, name in one.items()}
