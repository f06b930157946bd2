"""`grpo bench` and `tune=auto`: what is kept, what it depends on, and who wins."""

import json
from pathlib import Path

import pytest
from small_runs import QUICK, own_place, train
from typer.testing import CliRunner

from grpo_cli.cli import app
from grpo_cli.config import tuning
from grpo_cli.config.compose import compose
from grpo_cli.config.saved import parsed
from grpo_cli.config.tuning import tune, typed
from grpo_cli.sinks.view import View

WORDS = ["env=CartPole-v1", "num_groups=1", "epochs=1", "policy.hidden=[4]"]
TAKE = {
    "backend": "sync", "num_groups": 3, "num_minibatches": 6, "minibatch_size": 512, "threads": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def bench(*words):
    return CliRunner().invoke(app, ["bench", "budget=1s", *words])


def kept():
    return sorted(Path("../state/grpo/bench").glob("*.json"))


def keep(words, take=TAKE):
    """Let a recommendation for these words be known."""
    cfg = compose(list(words))
    path = tuning._path(cfg, list(words))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"take": take, "steps_per_s": {"asked": 1.0, "take": 2.0}}))


def tuned(*words):
    cfg = compose([*words, "tune=auto"])
    tune(cfg, [*words, "tune=auto"], View(quiet=True))
    return cfg


def test_a_measurement_is_kept_and_found_again():
    said = bench("--json", *WORDS)
    assert said.exit_code == 0, said.stderr
    found = json.loads(said.stdout)
    assert [str(path.resolve()) for path in kept()] == [str(Path(found["stored"]).resolve())]
    assert {"sync", "native"} <= set(found["env_us"])
    assert "async" in found["notes"]
    assert set(found["update_us"]) == set(found["act_us"]) >= {"1"}
    assert set(found["take"]) == set(tuning.TUNED)
    assert found["take"]["num_groups"] == 1  # typed
    cfg = tuned(*WORDS)
    assert cfg.backend.name == found["take"]["backend"]
    assert len(kept()) == 1  # nothing was measured again


def test_what_a_person_sees():
    shown = bench(*WORDS).stdout
    for text in ("env steps/s", "acting", "gradient step", "recommended", "tune=auto takes it"):
        assert text in shown
    words = bench("--quiet", *WORDS).stdout.split()
    assert [word.partition("=")[0] for word in words] == list(tuning.TUNED)
    assert bench("budget=soon").exit_code == 2
    assert bench("num_grups=2").exit_code == 2


def test_recommended_values_stand_below_the_command_line():
    keep(["env=CartPole-v1"])
    cfg = tuned("env=CartPole-v1")
    got = {key: cfg[key] for key in tuning.TUNED[1:]} | {"backend": cfg.backend.name}
    assert got == TAKE
    assert cfg.tune == "none"
    typed_too = ["env=CartPole-v1", "num_groups=5", "backend=native"]
    keep(typed_too)
    cfg = tuned(*typed_too)
    assert (cfg.num_groups, cfg.backend.name, cfg.minibatch_size) == (5, "native", 512)


def test_a_run_stores_the_plain_values():
    words = [*QUICK, "env=CartPole-v1", "tune=auto"]
    keep(words)
    run = Path(train("env=CartPole-v1", "tune=auto")["run"])
    cfg = parsed((run / "config.yaml").read_text())
    assert (cfg.tune, cfg.backend.name, cfg.num_minibatches) == ("none", "sync", 6)
    assert cfg.num_groups == 1  # QUICK says so


def test_other_settings_are_another_recommendation():
    assert typed(["++num_groups=2", "lr=1", "backend.timeout_s=5"]) == {"num_groups", "backend"}
    one = tuning._path(compose(["env=CartPole-v1"]), [])
    assert one == tuning._path(compose(["env=CartPole-v1", "seed=3", "lr=1"]), ["seed=3"])
    assert one != tuning._path(compose(["env=CartPole-v1", "group_size=6"]), [])
    assert one != tuning._path(compose(["env=CartPole-v1"]), ["num_groups=2"])


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", json.dumps({"take": {**TAKE, "num_groups": 0}, "steps_per_s": {}})],
)
def test_a_damaged_file_is_as_good_as_none(text, tmp_path):
    (tmp_path / "x.json").write_text(text)
    assert tuning._stored(tmp_path / "x.json") is None


def test_a_backend_that_does_not_exist_is_not_taken(tmp_path):
    rates = {"asked": 1.0, "take": 2.0}
    text = json.dumps({"take": {**TAKE, "backend": "../x"}, "steps_per_s": rates})
    (tmp_path / "x.json").write_text(text)
    assert tuning._stored(tmp_path / "x.json") is None
