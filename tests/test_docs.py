"""What the pages say is what the program does."""

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
from console import PAGES, ROOT, lines
from typer.testing import CliRunner

from grpo_cli.cli import app
from grpo_cli.config.compose import compose
from grpo_cli.config.evaluation import conf_of
from grpo_cli.config.jobs import train_job
from grpo_cli.config.meaning import VERBS
from grpo_cli.sinks.view import View

TOLD = """
import gymnasium as gym
import numpy as np

class Told(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), float(action), False, False, {"is_success": action == 1}
"""


def documented():
    """Names in the tables of docs/metrics.md, and whether they are written only at times."""
    names = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        if line.startswith("| `"):
            first, _, meaning = line.strip("| ").split(" | ", 2)
            names |= {name: bool(re.search(r"\bonly\b", meaning)) for name in _quoted(first)}
    return names


def _quoted(text):
    return re.findall(r"`([^`]+)`", text)


def written(*words):
    """Names in metrics.jsonl and histograms of the event file of a short run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    quick = ["total_steps=300", "num_groups=1", "epochs=1", "eval.final_episodes=2"]
    given = [*quick, "eval.episodes=2", *words]
    run = train_job(compose(given), overrides=given, view=View(quiet=True))["run"]
    lines = (Path(run) / "metrics.jsonl").read_text().splitlines()
    names = {name for line in lines for name in json.loads(line)} - {"step"}
    events = EventAccumulator(run)
    events.Reload()
    # hparams and the config as text have tags of their own, which are no metrics
    assert {tag for tag in events.Tags()["scalars"] if "/" in tag} == names
    names |= set(events.Tags()["histograms"])
    return {re.sub(r"^rewards/\w+/", "rewards/<name>/", name) for name in names}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_plain_run_writes_the_metrics_without_a_condition():
    assert written("env=CartPole-v1") == {name for name, only in documented().items() if not only}


def test_a_run_that_meets_every_condition_writes_all_metrics(place):
    (place / "told.py").write_text(TOLD)
    words = ["env=./told.py:Told", "env.max_steps=5", "advantage=process"]
    words.append("advantage.plus=[{coef: 0.1, value: step}]")
    words += ["reward.functions=[env,length]"]
    adaptive = ["kl.coef=0.1", "kl.target=0.01", "entropy=adaptive"]
    names = written(*words, "loss=vespo", *adaptive) | written(*words, "loss=clip_cov")
    assert names == set(documented())


def commands():
    """Every `grpo verb ...` in the pages, in code spans and in console blocks, once."""
    seen = set()
    for page in PAGES:
        for line in lines(page):
            command = re.sub(r"^.*-m grpo_cli ", "grpo ", line.command)
            if command.startswith("grpo ") and command not in seen:
                seen.add(command)
                yield pytest.param(command, id=f"{page.name}: {command}")


@pytest.mark.parametrize("command", list(commands()))
def test_commands_of_the_pages_can_be_typed(command):
    verb, *words = shlex.split(command, comments=True)[1:]
    assert CliRunner().invoke(app, [verb, "--help"]).exit_code == 0
    if verb == "completion" or "--explain" in words:
        assert CliRunner().invoke(app, [verb, *words]).exit_code == 0
        return
    if "--config-dir" in words:  # of a folder that an earlier command made
        return
    if "env=text/" in command and find_spec("transformers") is None:
        pytest.skip("needs transformers: make test-text")
    words = [word for word in words if not word.startswith("-")]
    if verb in ("train", "config") and words and not words[0].startswith("resume="):
        compose([re.sub(r"(=[^,\[{]+),.*", r"\1", word) for word in words])  # the first of a sweep
    if verb in VERBS and verb != "bench" and words:
        conf_of(VERBS[verb], words)


def blocks():
    for page in PAGES:
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.S)):
            yield pytest.param(code, id=f"{page.name}:{number}")


@pytest.mark.parametrize("code", list(blocks()))
def test_python_of_the_pages_runs(code):
    exec(compile(code, "page", "exec"), {"__name__": "page"})


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"
