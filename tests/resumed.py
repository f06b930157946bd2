"""Runs that are interrupted and gone on with, and what they are compared by."""

import copy
import json
import os
import shutil
import sys
from functools import cache
from pathlib import Path

import faults
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from grpo_cli.config.compose import compose
from grpo_cli.config.jobs import train_job
from grpo_cli.config.resume import named_run
from grpo_cli.errors import Stopped
from grpo_cli.sinks.view import View

QUICK = [
    "env.fresh=never",  # a fault counts the steps of training alone
    "env.max_steps=20", "num_groups=2", "group_size=3", "epochs=2", "policy.hidden=[8]",
    "total_steps=400", "eval_every=150", "save_every=100", "eval.episodes=2",
    "eval.final_episodes=2", "sinks=[tensorboard]",
]  # fmt: skip
ENV = f"env={faults.__file__}:Faulty"
BOX = f"env={faults.__file__}:FaultyBox"


def count_from_zero():
    for name, module in sys.modules.items():
        if name.startswith("grpo_own_faults"):
            module.STEPS[0] = 0


@cache
def composed(*words):
    return compose(list(words))


def begin(*words, view=None, env=ENV):
    count_from_zero()
    given = [env, *QUICK, *words]
    cfg = copy.deepcopy(composed(*(word for word in given if not word.startswith("name="))))
    for name in (word[5:] for word in given if word.startswith("name=")):
        cfg.name = name  # composing takes as long as the run
    return Path(train_job(cfg, overrides=given, view=view or View(quiet=True))["run"])


def go_on(run, *words, allow=False):
    count_from_zero()
    cfg, resumed = named_run(str(run), list(words), allow=allow, trusted=False)
    train_job(cfg, overrides=list(words), view=View(quiet=True), resumed=resumed)
    return resumed


def only_run(name):
    [run] = Path("runs").glob(f"*/{name}-*")
    return run


def interrupted(monkeypatch, at, *words, signal="SIGTERM", env=ENV):
    monkeypatch.setenv("FAULT", f"{signal}:{at}")
    with pytest.raises(Stopped) as stopped:
        begin("name=halted", *words, env=env)
    monkeypatch.delenv("FAULT")
    return only_run("halted"), stopped.value


def metrics(run):
    lines = (Path(run) / "metrics.jsonl").read_text().splitlines()
    kept = [json.loads(line) for line in lines]
    return [{k: v for k, v in line.items() if not k.startswith(("time/", "sys/"))} for line in kept]


def weights(run):
    last = Path(run) / "checkpoints" / "last"
    return {
        name: (last / name).read_bytes() for name in ("policy.safetensors", "state.safetensors")
    }


def events(run):
    read = EventAccumulator(str(run), size_guidance={"scalars": 0, "histograms": 0})
    read.Reload()
    tags = read.Tags()
    numbers = {t: [(e.step, e.value) for e in read.Scalars(t)] for t in tags["scalars"]}
    drawn = {t: [e.step for e in read.Histograms(t)] for t in tags["histograms"]}
    return {t: v for t, v in numbers.items() if not t.startswith("time/")}, drawn


def facts(run):
    found = json.loads((run / "checkpoints/last/state.json").read_text())
    return {key: found[key] for key in found if key != "metrics_bytes"}


def assert_equal(run, other):
    assert metrics(run) == metrics(other)
    assert weights(run) == weights(other)
    assert events(run) == events(other)
    assert facts(run) == facts(other)
    best = [os.readlink(r / "checkpoints/best") for r in (run, other)]
    assert best[0] == best[1]


def cut_off(*words, env=ENV):
    """End a run as a power cut after its first checkpoint would."""
    run = begin("name=halted", *words, env=env)
    for later in sorted((run / "checkpoints").glob("step-*"))[1:]:
        shutil.rmtree(later)
    (run / "summary.json").unlink()
    return run
