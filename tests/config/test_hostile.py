"""Folders of strangers: what they try, and that nothing of it runs."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from small_runs import evaluate, own_place, train

from grpo_cli import manifest
from grpo_cli.config.resume import named_run
from grpo_cli.errors import CheckpointError, GrpoError


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("once"))
        return Path(train("env=CartPole-v1", "total_steps=1")["run"]).absolute()


@pytest.fixture
def run(run_once, place):
    return shutil.copytree(run_once, place / "copy", symlinks=True)


def change(run, old, new):
    file = run / "config.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


BOMB = "bomb: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{two}: &{two} [{','.join(['*' + one] * 9)}]\n"
    for one, two in zip("abcdefghij", "bcdefghijk", strict=True)
)
MARKER = "__import__('pathlib').Path('ran').touch()"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("env:\n", BOMB + "env:\n"),
        ("env:\n", "x: " + "[" * 5000 + "]" * 5000 + "\nenv:\n"),
        ("env:\n", f'x: !!python/object/apply:eval ["{MARKER}"]\nenv:\n'),
        ("env:\n", "_target_: os.system\nenv:\n"),
        ("id: CartPole-v1", "id: evil:CartPole-v1"),
        ("id: CartPole-v1", "id: CartPole-v1\n  _target_: evil.run"),
        ("kwargs: {}", "kwargs: ${oc.decode:'!!python/name:os.system'}"),
        ("policy:\n  name: auto", "policy:\n  name: evil.run"),
        ("policy:\n  name: auto", "policy:\n  name: ../evil.py:run"),
    ],
    ids=lambda text: text[:24].replace("\n", " "),
)
def test_a_config_that_tries_something_is_refused_at_once(run, place, old, new):
    (place / "evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\nrun = print\n")
    change(run, old, new)
    started = time.monotonic()
    with pytest.raises(GrpoError):
        evaluate(run)
    with pytest.raises(GrpoError):
        named_run(str(run), ["total_steps=500"], allow=True, trusted=False)
    assert not Path("ran").exists()
    assert time.monotonic() - started < 30


def test_a_name_is_looked_up_among_components_only(run):
    change(run, "policy:\n  name: auto", "policy:\n  name: __class__")
    with pytest.raises(GrpoError, match="has no __class__"):
        evaluate(run)


def test_code_elsewhere_in_the_config_is_not_imported_to_go_on(run, place):
    (place / "evil.py").write_text("import pathlib\npathlib.Path('ran').touch()\nrun = print\n")
    change(run, "loss:\n  name: clip", "loss:\n  name: evil.run")
    with pytest.raises(CheckpointError, match=r"would import evil\.run"):
        named_run(str(run), ["total_steps=500"], allow=True, trusted=False)
    assert not Path("ran").exists()


def test_files_that_claim_to_be_huge_are_not_read(run):
    last = (run / "checkpoints/last").resolve()
    told = json.loads((last / "manifest.json").read_text())
    told["files"]["state.json"]["bytes"] = 10**12
    (last / "manifest.json").write_bytes(
        manifest._spelled({key: told[key] for key in ("schema", "step", "files")})
    )
    os.truncate(last / "state.json", 10**12)  # sparse: it takes no space
    with pytest.raises(CheckpointError, match="claims 1,000,000,000,000 bytes"):
        evaluate(run)
    (run / "config.yaml").unlink()
    with (run / "config.yaml").open("w") as file:
        file.truncate(10**12)
    with pytest.raises(CheckpointError, match=r"config\.yaml cannot be read"):
        evaluate(run)


def test_a_link_out_of_the_run_is_not_followed(run, tmp_path):
    away = shutil.move(str((run / "checkpoints/last").resolve()), tmp_path / "step-000000009")
    for name in ("last", "best"):
        (run / "checkpoints" / name).unlink()
    (run / "checkpoints/last").symlink_to(away)
    with pytest.raises(CheckpointError):
        evaluate(run)
    (run / "config.yaml").rename(tmp_path / "config.yaml")
    (run / "config.yaml").symlink_to(tmp_path / "config.yaml")
    with pytest.raises(CheckpointError, match=r"config\.yaml cannot be read"):
        evaluate(run)


def test_no_file_of_a_run_knows_what_an_environment_variable_holds(place, monkeypatch):
    (place / "my_locked.py").write_text(
        "from my_env import Guess\n\n\nclass Locked(Guess):\n"
        "    def __init__(self, token, more):\n        assert token == more[0] == 'a secret'\n"
        "    def step(self, action):\n        return *super().step(action)[:4], {}\n"
    )
    monkeypatch.setenv("TOKEN", "a secret")
    words = ["env=./my_locked.py:Locked", "env.max_steps=9", "++env.kwargs.token=${oc.env:TOKEN}"]
    words += ["++env.kwargs.more=[${oc.env:TOKEN}]", "name=x"]
    run = Path(train(*words, "sinks=[tensorboard]")["run"])
    files = [path for path in run.rglob("*") if path.is_file()]
    assert len(files) > 8
    assert not [path.name for path in files if b"a secret" in path.read_bytes()]
    assert "${oc.env:TOKEN}" in (run / "config.yaml").read_text()
    [events] = run.glob("events.*")
    assert b"${oc.env:TOKEN}" in events.read_bytes()
    assert evaluate(run)["eval"]
