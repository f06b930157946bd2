"""Marks, names of own code, and importing it."""

import os
import stat
import sys
from pathlib import Path

import pytest

from grpo_cli.config import trust
from grpo_cli.config.compose import compose
from grpo_cli.errors import ConfigError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "my_env.py"
    path.write_text("class Valve:\n    pass\n")
    return path


def test_a_mark_holds_for_this_config_and_these_sources(source: Path):
    mark = trust.seal("lr: 1\n", [source])
    assert len(mark) == 64
    assert trust.verify("lr: 1\n", [source], mark)
    assert not trust.verify("lr: 2\n", [source], mark)
    assert not trust.verify("lr: 1\n", [], mark)
    assert not trust.verify("lr: 1\n", [source], "")
    assert not trust.verify("lr: 1\n", [source], "ü")
    source.write_text("import os\n")
    assert not trust.verify("lr: 1\n", [source], mark)
    source.unlink()
    assert not trust.verify("lr: 1\n", [source], mark)
    assert trust.seal("lr: 1\n", [source]) == ""


def test_parts_cannot_be_regrouped(tmp_path: Path):
    one, two = tmp_path / "a.py", tmp_path / "b.py"
    one.write_text("xy")
    two.write_text("z")
    mark = trust.seal("c", [one, two])
    assert trust.verify("c", [two, one], mark)  # their order does not matter
    one.write_text("x")
    two.write_text("yz")
    assert not trust.verify("c", [one, two], mark)


def test_the_secret_is_this_users_alone(state: Path):
    assert not trust.verify("c", [], "0" * 64)
    assert not state.exists()  # asking makes no secret
    mark = trust.seal("c", [])
    secret = state / "grpo" / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert [path.name for path in secret.parent.iterdir()] == ["secret"]
    assert trust.seal("c", []) == mark
    os.chmod(secret, 0o644)  # now others may have read it
    assert not trust.verify("c", [], mark)
    assert trust.seal("c", []) != mark
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_no_place_for_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    assert trust.seal("c", []) == ""
    assert not trust.verify("c", [], "0" * 64)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["env=CartPole-v1"], []),
        (["env=./my_env.py:Valve"], ["./my_env.py:Valve"]),
        (["env=my_pkg:Valve-v0", "loss=my.fn"], ["my_pkg:Valve-v0", "my.fn"]),
        (["env=my_pkg.Valve"], ["my_pkg.Valve"]),
        (["env=CartPole-v1", "sinks=[my.Sink]"], ["my.Sink"]),
        (["env=CartPole-v1", "reward.functions=[env,./r.py:fuel,my.fn]"], ["./r.py:fuel", "my.fn"]),
        (["env=CartPole-v1", "reward=my.fn"], ["my.fn"]),
        (["env=ale_py:ALE/Pong-v5"], []),
        (["env=gymnasium:CartPole-v1"], []),
    ],
)
def test_what_a_config_would_import(words: list[str], names: list[str]):
    assert trust.own_code(compose(words)) == names


def test_ids_that_import_what_their_kwargs_name_are_own_code():
    cfg = compose(["env=CartPole-v1"])
    cfg.env.id = "GymV21Environment-v0"
    assert trust.own_code(cfg) == ["GymV21Environment-v0"]


def test_source_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names = ["./my_env.py:Valve", "/abs/net.py:Body", "my.fn", "pkg:Env-v0"]
    assert trust.source_files(names) == [tmp_path / "my_env.py", Path("/abs/net.py")]


def test_load_from_a_file(source: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(source.parent)
    valve = trust.load_own("./my_env.py:Valve")
    assert valve.__name__ == "Valve"
    assert trust.load_own(f"{source}:Valve") is valve  # imported once
    assert sys.modules[valve.__module__].Valve is valve  # so that it can be pickled


def test_files_see_their_neighbours(source: Path):
    (source.parent / "neighbour_of_valve.py").write_text("size = 3\n")
    source.write_text("from neighbour_of_valve import size\n")
    assert trust.load_own(f"{source}:size") == 3


def test_load_from_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own_pkg").mkdir()
    (tmp_path / "own_pkg" / "mod.py").write_text("def fn():\n    return 4\n")
    monkeypatch.chdir(tmp_path)
    assert trust.load_own("own_pkg.mod.fn")() == 4
    assert trust.load_own("own_pkg.mod:fn")() == 4


@pytest.mark.parametrize(
    ("name", "text", "what", "fix"),
    [
        ("./nope.py:Valve", "", "there is no file", "working folder"),
        ("./own.py", "", "names a file but nothing in it", "./own.py:Name"),
        ("./own.py:Valv", "class Valve: ...", "there is no Valv", "did you mean Valve?"),
        ("./own.py:Valve", "1 / 0", "ZeroDivisionError: division by zero", "--debug"),
        ("./own.py:Valve", "class Valve(", "SyntaxError", "--debug"),
        ("./own.py:Valve", "import not_there", "No module named 'not_there'", "--debug"),
        ("not_there.fn", "", "there is no module not_there", "install it"),
        ("math.sinn", "", "there is no sinn", "sin"),
    ],
)
def test_what_can_go_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, what: str, fix: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(text)
    with pytest.raises(ConfigError) as caught:
        trust.load_own(name)
    assert what in caught.value.what
    assert fix in caught.value.fix
