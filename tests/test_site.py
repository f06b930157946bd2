"""The documentation site: built strict, and everything that can be typed is in it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_cli.config.meaning import train_keys

ROOT = Path(__file__).parents[1]


def test_every_group_mode_is_explained_with_a_picture():
    page = (ROOT / "docs/groups.md").read_text()
    for mode in sorted((ROOT / "conf/group").glob("*.yaml")):
        assert f"img/group-{mode.stem}.svg" in page
        assert f"group={mode.stem}" in (ROOT / f"docs/img/group-{mode.stem}.svg").read_text()


@pytest.mark.slow
def test_the_site_has_every_key_verb_and_class_and_no_link_that_leads_nowhere(tmp_path):
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        words,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    keys = (tmp_path / "reference/keys.html").read_text()
    missing = [
        k for k in train_keys() if not k.endswith(".name") and f"<code>{k}</code>" not in keys
    ]
    assert missing == []
    commands = (tmp_path / "reference/commands.html").read_text()
    verbs = re.findall(
        r"^    (\w+),$", (ROOT / "grpo_cli/cli/__init__.py").read_text(), re.MULTILINE
    )
    named = {"evaluate": "eval", "complete": "completion"}
    for verb in set(verbs) - {"flags"}:
        assert f"grpo {named.get(verb, verb)}  " in commands
    python = (tmp_path / "reference/python.html").read_text()
    for name in ("GRPO", "GRPOTrainer", "GRPOConfig", "Rollout", "Batch"):
        assert re.search(rf'id="grpo_cli\.[\w.]*\.{name}"', python)
    loaded = [
        f"{page.name}: {found}"
        for page in tmp_path.rglob("*.html")
        for found in re.findall(r'(?:src|<link[^>]*href)="(https?://[^"]+)"', page.read_text())
    ]
    assert loaded == []  # nothing from elsewhere
