"""What a key or a config group means: a sentence, type, unit, default, choices. Without Hydra."""

from dataclasses import dataclass
from typing import Any

from grpo_cli.config import files
from grpo_cli.config.asks import ExportConf, PlayConf
from grpo_cli.config.rules import COMPONENT_RULES, Rule
from grpo_cli.config.schema import (
    ALIASES,
    GROUPS,
    MISSING,
    BenchConf,
    EnvConf,
    EvalConf,
    TrainConf,
    everyday,
)
from grpo_cli.config.sentences import SENTENCES
from grpo_cli.config.suggest import unknown_key
from grpo_cli.config.sweep_schema import SweepConf
from grpo_cli.config.values import Expected, typed

# What a config group without a name of its own in SENTENCES is about.
GROUP_SENTENCES = {
    "eval": "how often training is scored",
    "checkpoint": "how many checkpoints stay",
    "sinks": "who gets the metrics, beside the run's folder; several in brackets",
    "preset": "a published system: how attempts are compared and the policy moves",
    "experiment": "settings in a file of your own, which win over those of a preset",
}
VERBS = {"bench": BenchConf, "eval": EvalConf, "export": ExportConf, "play": PlayConf}


@dataclass(frozen=True)
class Meaning:
    """What a key means.

    Attributes:
        key: as it is typed.
        sentence: what it is.
        facts: (name, text) of type, unit, default and more.
        choices: (name, line) of what a config group offers.
    """

    key: str
    sentence: str
    facts: list[tuple[str, str]]
    choices: list[tuple[str, str]]


def explain(key: str) -> Meaning:
    """Explain a key of `grpo train` or `sweep`, of another verb (`eval.ckpt`), or a config group.

    Raises:
        ConfigError: there is no such key; names the nearest.
    """
    key = ALIASES.get(key, key)
    fields = {**everyday(), **_under("env.", EnvConf), **_under("sweep.", SweepConf)}
    if key in fields:
        return _of_field(key, fields[key])
    if key in SENTENCES:
        return _of_component(key)
    if key in GROUPS:
        return _of_group(key)
    verb, _, word = key.rpartition(".")
    if verb in VERBS and word in everyday(VERBS[verb]):
        return _of_field(key, everyday(VERBS[verb])[word])
    for name, conf in VERBS.items():
        if key in everyday(conf):
            return _of_field(f"{name}.{key}", everyday(conf)[key])
    raise unknown_key(key, [*fields, *SENTENCES, *GROUPS])


def _under(prefix: str, conf: type) -> dict[str, Any]:
    return {prefix + name: entry for name, entry in everyday(conf).items()}


def _of_field(key: str, entry: Any) -> Meaning:
    expected = Expected.of_field(entry)
    default = "required" if expected.default == MISSING else typed(expected.default)
    facts = [("type", expected.words), ("unit", entry.metadata["unit"]), ("default", default)]
    return Meaning(key, entry.metadata["help"], [fact for fact in facts if fact[1]], [])


def _of_component(key: str) -> Meaning:
    """Read a component's key; its default is that of each shipped choice which has it."""
    sentence, unit = SENTENCES[key]
    group = key.partition(".")[0]
    default_choice = files.defaults().get(group, "")
    values = {}
    for choice in files.choices(group):
        layer = files.find(group, choice)
        leaves = dict(files.leaves(layer.content)) if layer else {}
        if key in leaves:
            values[choice] = leaves[key]
    first = values.get(default_choice, next(iter(values.values())))
    expected = Expected.of_default(first, COMPONENT_RULES.get(key, Rule()))
    others = [f"{name} {typed(v)}" for name, v in values.items() if v != first]
    facts = [
        ("type", "" if key.endswith(".name") else expected.words),
        ("unit", unit),
        ("default", typed(first)),
        ("in", ", ".join(f"{group}={name}" for name in values)),
        ("elsewhere", ", ".join(others)),
    ]
    return Meaning(key, sentence, [fact for fact in facts if fact[1]], [])


def _of_group(key: str) -> Meaning:
    """List the choices of a config group with the first line of their files."""
    rows = []
    for choice in files.choices(key):
        layer = files.find(key, choice)
        lines = layer.path.read_text(encoding="utf-8").splitlines() if layer else []
        told = [line[2:] for line in lines if line.startswith("# ") and "@package" not in line]
        rows.append((choice, told[0] if told else ""))
    if key == "env":
        said = "the environment: any Gymnasium id, my_pkg:Env-v0 or ./file.py:Class"
        return Meaning(key, said, [("tuned", ", ".join(name for name, _ in rows))], [])
    said = GROUP_SENTENCES.get(key) or SENTENCES[f"{key}.name"][0]
    default = files.defaults().get(key, "")
    return Meaning(key, said, [("default", default)] if default else [], rows)


def train_keys() -> list[str]:
    """Return every key of `grpo train` that can be explained."""
    return [*everyday(TrainConf), *SENTENCES]
