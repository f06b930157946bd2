"""docs/algorithms.md names everything that can be chosen, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from grpo_cli.cli.presets import about, words
from grpo_cli.config.files import choices, component_keys, conf_dir
from grpo_cli.config.rules import COMPONENT_RULES
from grpo_cli.config.schema import COMPONENTS

PAGE = (Path(__file__).parents[1] / "docs/algorithms.md").read_text(encoding="utf-8")
ON_THE_PAGE = ("group", "reward_scaling", "advantage", "loss", "kl", "entropy", "preset")
KEYS = ("value", "key", "baseline", "scale", "fallback", "adjust")


def tables() -> list[tuple[list[str], list[list[str]]]]:
    """Header and rows of every table, cells without backticks at their ends."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        header, _, *rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for line in block.splitlines()
        ]
        assert all(len(row) == len(header) for row in rows), block
        found.append((header, [[row[0].strip("`"), *row[1:]] for row in rows]))
    return found


def table(name: str) -> tuple[list[str], list[list[str]]]:
    """The one table whose first column has this name."""
    (found,) = [(header, rows) for header, rows in tables() if header[0] == name]
    return found


@pytest.mark.parametrize("group", ON_THE_PAGE)
def test_every_file_has_a_row_and_every_row_a_file(group: str):
    names = [row[0] for row in table(group)[1]]
    assert sorted(names) == [name for name in choices(group) if (group, name) != ("preset", "none")]


@pytest.mark.parametrize("group", ["advantage", "loss", "entropy"])
def test_the_settings_in_a_row_are_those_of_the_file(group: str):
    header, rows = table(group)
    known = {"name", *(key.partition(".")[2] for key in component_keys(group))}
    for name, *cells in rows:
        tree: dict[str, Any] = yaml.safe_load((conf_dir() / group / f"{name}.yaml").read_text())
        shown = dict(zip(header[1:], cells, strict=True)).items()
        told = {key: cell for key, cell in shown if key in known}
        given = {key: "" if key not in tree else _typed(tree[key]) for key in told}
        assert told == given, name


def _typed(value: Any) -> str:
    return "null" if value is None else str(value)


@pytest.mark.parametrize(
    "key", [*(f"advantage.{key}" for key in KEYS), "loss.ratio", "loss.aggregate"]
)
def test_every_choice_of_a_setting_has_a_row(key: str):
    assert {row[0] for row in table(key)[1]} == set(COMPONENT_RULES[key].choices)


def test_a_preset_is_described_by_the_words_it_stands_for():
    for name, sets, _, source in table("preset")[1]:
        assert sets == f"`{' '.join(words(name))}`"
        assert source == about(name).source


def test_every_key_on_the_page_exists():
    known = {key for group in COMPONENTS for key in component_keys(group)}
    rows = [row[0] for header, rows in tables() if header[0] == "key" for row in rows]
    dotted = re.findall(rf"`((?:{'|'.join(COMPONENTS)})\.[a-z_]+)(?:=[^`]*)?`", PAGE)
    assert len(rows) > 10
    assert len(dotted) > 20
    assert not {*rows, *dotted} - known
