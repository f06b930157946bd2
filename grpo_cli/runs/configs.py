"""In what runs differ: their configs side by side, and a short name for each side."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from grpo_cli.errors import CheckpointError
from grpo_cli.runs.facts import Run

# Ten times faster, where it was built.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Settings = dict[str, str]
DEEPEST = 50  # levels of nesting; ours have four
# What changes neither what is learned nor what it is called.
ASIDE = frozenset(
    "seed log_every video_every save_every max_time profile tune threads resume resume_changes"
    " nan".split()
)
ASIDE_NODES = ("checkpoint.", "sinks.")
MOST_KEYS = 4  # in a label


def settings(run: Run) -> Settings:
    """Return a run's config, flat: `loss.eps_low` -> `0.2`. Empty where it cannot be read."""
    try:
        text = run.folder.read("config.yaml")
        depth = 0
        for event in yaml.parse(text, Loader=Loader):
            # A stranger's file may be made to take for ever; ours have neither.
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if isinstance(event, AliasEvent) or depth > DEEPEST:
                return {}
        return dict(_flat(yaml.load(text, Loader=Loader)))  # noqa: S506 - a safe one
    except (CheckpointError, yaml.YAMLError, ValueError, AttributeError, RecursionError):
        return {}


def differences(configs: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return the keys whose values differ, with the value in each config; `-`: not there."""
    keys = list(dict.fromkeys(key for config in configs for key in config))
    rows = {key: [config.get(key, "-") for config in configs] for key in keys if _counts(key)}
    return {key: row for key, row in rows.items() if len(set(row)) > 1}


def sides(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Group runs whose configs are equal but for the seed; returns them by a label that differs.

    The label is made of the words of the command line that only this side has, else of the run's
    name, else of the config keys in which the sides differ.
    """
    if len(runs) == 1:
        return {runs[0].name: [*runs]}
    found: dict[tuple[tuple[str, str], ...], list[Run]] = defaultdict(list)
    for run in runs:
        config = settings(run)
        found[tuple(sorted(pair for pair in config.items() if _counts(pair[0])))].append(run)
    groups = list(found.values())
    if len(groups) == 1:
        return {groups[0][0].name: groups[0]}
    labels = _labels(groups, [dict(config) for config in found])
    return dict(zip(labels, groups, strict=True))


def _labels(groups: list[list[Run]], configs: list[dict[str, str]]) -> list[str]:
    differ = differences(configs)
    several_envs = len({run.env for group in groups for run in group}) > 1
    words = [_words_of(group) for group in groups]
    common = set.intersection(*(set(of) for of in words))
    by_words = [" ".join(word for word in of if word not in common) for of in words]
    names = [group[0].name for group in groups]
    keys = [key for key in differ if key not in ("env.id", "name")][:MOST_KEYS]
    by_keys = [" ".join(f"{key}={config.get(key, '-')}" for key in keys) for config in configs]
    for labels in (by_words, names, by_keys):
        # Between environments labels may be the same: each has a picture of its own.
        owned = [
            (group[0].env, label) if several_envs else label
            for group, label in zip(groups, labels, strict=True)
        ]
        if len(set(owned)) == len(groups):
            named = [label or "default" for label in labels]
            if len(set(named)) == len(groups):
                return named
    return [f"{number + 1}: {label}" for number, label in enumerate(by_keys)]


def _words_of(group: list[Run]) -> list[str]:
    """Return the words that all runs of a group share, those about the seed left out."""
    first, *rest = ([w for w in run.words if not w.startswith("seed=")] for run in group)
    return [word for word in first if all(word in words for words in rest)]


def _counts(key: str) -> bool:
    return key not in ASIDE and not key.startswith(ASIDE_NODES)


def _flat(node: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in node.items():
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", "null" if value is None else str(value)))
    return rows
