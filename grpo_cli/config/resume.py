"""Which run a command goes on with, under which settings.

`resume=<run>` takes the run's own config and changes what this command names; `resume=auto` looks
for a run that was started with the settings of this command.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from omegaconf import DictConfig, OmegaConf

from grpo_cli import checkpoint, manifest, rundir
from grpo_cli.checkpoint import Checkpoint
from grpo_cli.config import files
from grpo_cli.config.build import absolute
from grpo_cli.config.combinations import check_combinations
from grpo_cli.config.rules import COMPONENT_RULES, Rule
from grpo_cli.config.saved import open_config, parsed
from grpo_cli.config.schema import GROUPS, NAMED, EnvConf, everyday, is_own
from grpo_cli.config.suggest import did_you_mean, listed, unknown_key
from grpo_cli.config.values import Expected
from grpo_cli.config.words import choices_in, rewrite
from grpo_cli.errors import CheckpointError, ConfigError
from grpo_cli.rundir import RunFolder

Tree = dict[str, Any]

HARMLESS = (
    "total_steps", "stop_at", "eval_every", "save_every", "log_every", "max_time", "nan", "name",
    "profile", "tune", "processes", "resume", "resume_changes", "eval", "checkpoint",
    "cluster", "sinks",
)  # fmt: skip
"""Keys that do not move the policy; a resumed run may change them and learn as it would have."""


@dataclass(frozen=True)
class Resumed:
    """A run to go on with.

    Attributes:
        run: its folder.
        path: the checkpoint to go on from.
        saved: what that holds.
        changed: dotted keys that this command sets otherwise than the run did.
    """

    run: RunFolder
    path: Path
    saved: Checkpoint
    changed: tuple[str, ...]


def named_run(
    word: str, words: list[str], *, allow: bool, trusted: bool
) -> tuple[DictConfig, Resumed]:
    """Open the run that `resume=word` names, with the changes of this command.

    Args:
        word: a run, a checkpoint, `last` or `best`.
        words: the other words of the command.
        allow: changes after which the run learns otherwise are wanted.
        trusted: the person said `--trust`.

    Raises:
        CheckpointError: the run or its checkpoint is missing, damaged or untrusted.
        ConfigError: a word cannot be used, or changes what the run would have learned.
    """
    run, path = rundir.find_to_resume(word)
    named = {absolute(choice) for one in words for _, choice in choices_in(one)}
    cfg = open_config(run, trusted=trusted, named=named, to_train=True)
    before = _tree(cfg)
    for one in words:
        _change(cfg, one)
    check_combinations(_tree(cfg), {"loss": cfg.loss.name})
    resumed = Resumed(run, path, checkpoint.load(path), _changed(before, _tree(cfg)))
    moved = moving(resumed.changed, before)
    if moved and not allow:
        raise ConfigError(
            f"{run.path} would learn otherwise than it did, with another {listed(moved)}",
            "write resume_changes=allow if that is wanted",
        )
    if _is_over(resumed, before, _tree(cfg)):
        raise ConfigError(
            f"{run.path} is finished, after {resumed.saved.facts['steps']:,} env steps",
            f"write total_steps=...{_also(before)} to go on, or stop_at=none if it was solved",
        )
    return cfg, resumed


def same_run(cfg: DictConfig, say: Callable[[str], None]) -> Resumed | None:
    """Find the newest run that learns with these settings, and its newest good checkpoint.

    Args:
        cfg: the settings, files in it absolute.
        say: says one line about every checkpoint and run that is passed over.

    Returns:
        None where there is no such run, or it ended before its first checkpoint.

    Raises:
        CheckpointError: there is one, and all its checkpoints are damaged.
    """
    wanted = _tree(cfg)
    for run in rundir.newest_first():
        if not run.path.name.startswith(f"{wanted['name']}-s{wanted['seed']}-"):
            continue
        try:
            # Compared only: its code is not imported from there, but as this command names it.
            there = _tree(parsed(run.read("config.yaml")))
            if there["env"]["id"] != wanted["env"]["id"]:
                continue
            changed = _changed(there, wanted)
        except Exception as error:  # a stranger's YAML may be anything
            say(f"{run.path} is passed over: its config.yaml is damaged ({type(error).__name__})")
            continue
        moved = moving(changed, there)
        if moved:
            say(f"{run.path} is another run: it has another {listed(moved)}")
            continue
        found = _newest_good(run, say)
        if found is None:
            say(f"{run.path} ended before its first checkpoint; there is nothing to go on from")
            continue
        return Resumed(run, found[0], found[1], changed)
    return None


def moving(changed: tuple[str, ...], before: Tree) -> list[str]:
    """Return those of the changed keys after which a run learns otherwise."""
    annealed = before["optim"].get("schedule") == "linear"
    return [
        key
        for key in changed
        if key.partition(".")[0] not in HARMLESS or (key == "total_steps" and annealed)
    ]


def _newest_good(run: RunFolder, say: Callable[[str], None]) -> tuple[Path, Checkpoint] | None:
    paths = manifest.saved(run.checkpoints)
    for path in reversed(paths):
        try:
            return path, checkpoint.load(path)
        except CheckpointError as error:
            say(f"{error.what}; trying the one before it")
    if paths:
        raise CheckpointError(
            f"all {len(paths)} checkpoints of {run.path} are damaged",
            "move that folder away to start again from nothing",
        )
    return None


def _also(before: Tree) -> str:
    """Return the further word that a longer run needs: its rates fall to 0 at total_steps."""
    return " resume_changes=allow" if moving(("total_steps",), before) else ""


def _is_over(resumed: Resumed, before: Tree, after: Tree) -> bool:
    facts = resumed.saved.facts
    solved = facts.get("reached") and before["stop_at"] == after["stop_at"]
    over = solved or int(facts.get("steps", 0)) >= after["total_steps"]
    return bool(over) and (resumed.run.path / "summary.json").exists()


def _tree(cfg: Any) -> Tree:
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def _changed(before: Tree, after: Tree) -> tuple[str, ...]:
    """Return the dotted keys that differ; one that an older version did not know does not."""
    old, new = dict(files.leaves(before)), dict(files.leaves(after))
    default = {name: entry.default for name, entry in everyday().items()}
    default |= {f"env.{name}": value for name, value in vars(EnvConf()).items()}
    both = dict.fromkeys([*old, *new])
    missing = object()
    return tuple(
        key
        for key in both
        if old.get(key, default.get(key, missing)) != new.get(key, default.get(key, missing))
    )


def _change(cfg: DictConfig, word: str) -> None:
    """Apply one word to a saved config."""
    chosen = list(choices_in(word))
    override = OverridesParser.create().parse_override(rewrite(word))
    key, value = override.key_or_group, override.value()
    forced = key.startswith("env.kwargs.")
    if override.is_sweep_override() or (override.type != OverrideType.CHANGE and not forced):
        raise ConfigError(f"a resumed run cannot take the word {word}", "write key=value")
    if key in GROUPS:
        _choose(cfg, key, [choice for _, choice in chosen])
        return
    leaves = dict(files.leaves(_tree(cfg)))
    entries = everyday()
    if key in entries:
        Expected.of_field(entries[key]).check(key, value)
    elif key in leaves:
        expected = Expected.of_default(leaves[key], COMPONENT_RULES.get(key, Rule()))
        expected.check(key, value)
    elif not forced:
        raise unknown_key(key, [*entries, *leaves])
    OmegaConf.update(cfg, key, value, merge=False, force_add=True)


def _choose(cfg: DictConfig, group: str, choices: list[str]) -> None:
    """Put another component into a saved config."""
    if group in ("preset", "experiment"):
        raise ConfigError(f"a resumed run cannot change its {group}", "name single keys instead")
    if group == "env":
        if absolute(choices[0]) != cfg.env.id:
            raise ConfigError(
                f"the run was made for {cfg.env.id}, not for {choices[0]}", "leave out env="
            )
        return
    nodes: Tree = {}
    for choice in choices:
        layer = files.find(group, choice)
        if layer is not None:
            nodes |= layer.content[group]
        elif group in NAMED and is_own(choice):
            nodes |= {"name": choice}
        else:
            near = did_you_mean(choice, files.choices(group))
            raise ConfigError(f"no {group} called {choice}", near or listed(files.choices(group)))
    OmegaConf.update(cfg, group, nodes, merge=False, force_add=True)
