"""Every listed environment whose package is installed can be trained on, one process a package."""

import json
import os
import random
import subprocess
import sys
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path

import pytest

from grpo_cli.config.env_ids import MODULES, listed

PROGRAM = Path(__file__).with_name("registry.py")
SAMPLE = os.environ.get("REGISTRY_SAMPLE", "")


def by_package():
    """Return the listed ids of every package that is installed, by the extra that brings it."""
    found = defaultdict(list)
    for entry in listed().values():
        if entry.extra == "text":  # needs a model: tests/text
            continue
        if not entry.extra or find_spec(MODULES[entry.extra]):
            found[entry.extra].append(entry.id)
    return dict(found)


def failures(ids):
    """Train on ids in a process of their own; returns what is wrong with those that fail."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *ids], stdout=subprocess.PIPE, text=True, check=True
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["id"] for line in told] == list(ids)  # none was passed over, nothing else printed
    return {line["id"]: line["wrong"] for line in told if line["wrong"]}


@pytest.mark.slow
@pytest.mark.parametrize("extra", sorted(by_package()))
def test_every_id_of_a_package(extra):
    assert failures(by_package()[extra]) == {}


@pytest.mark.registry
@pytest.mark.skipif(not SAMPLE, reason="REGISTRY_SAMPLE=TEXT draws an id of every package by it")
@pytest.mark.parametrize("extra", sorted(by_package()))
def test_one_id_of_a_package_drawn_by_a_text(extra):
    drawn = random.Random(f"{SAMPLE} {extra}").choice(by_package()[extra])
    assert failures([drawn]) == {}
