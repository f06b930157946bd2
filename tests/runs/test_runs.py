"""Finding runs, the index, and what tells runs apart."""

import fcntl
import json
import os
import threading

import numpy as np
import pytest
from run_files import run_folder

from grpo_cli.errors import ConfigError
from grpo_cli.runs import bands, listed, matches, retag, select, series, settings, sides, state
from grpo_cli.runs.curves import RETURN, Series
from grpo_cli.runs.index import NAME


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "runs"
    for seed in range(3):
        run_folder(root, seed, lr=0.01, score=40.0 + seed)
    run_folder(root, 0, lr=0.5, name="fast", score=None)
    run_folder(root, 0, env="Acrobot-v1", score=-90.0)
    return root


def seeds(runs):
    return [(run.env, run.name, run.seed) for run in runs]


def test_facts_of_a_run(root):
    [run] = select(["runs/CartPole-v1/grpo-s1-20260101-000001"])
    assert (run.env, run.name, run.seed, run.env_steps, run.updates) == (
        "CartPole-v1", "grpo", 1, 300, 3,
    )  # fmt: skip
    assert (run.ret, run.greedy, run.sampled, run.solved) == (30.0, 41.0, 40.0, True)
    assert run.words == ["env=CartPole-v1", "lr=0.01", "seed=1"]
    assert state(run) == "finished"


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("runs", 5), ("runs/CartPole-v1", 4), ("runs/*/fast-*", 1), ("last", 1), ("lr=0.01", 4),
        ("env=CartPole-v1", 4), ("name=fast", 1), ("state=stopped", 1), ("seed=0", 3), ("fast", 1),
        ("greedy>40.5", 2), ("greedy<=40", 2), ("solved=yes", 3), ("seed!=0", 2),
        ("lr=0.01|seed=0", 2), ("lr=0.5 lr=0.01", 5),
    ],
)  # fmt: skip
def test_words_choose_runs(root, words, count):
    given = [word.replace("|", " ") for word in words.split()]
    found = select(given)
    assert len(found) == count
    assert [run.started for run in found] == sorted(run.started for run in found)


def test_a_running_run_is_seen_by_its_lock(root):
    [run] = select(["name=fast"])
    with run.folder.alone():
        assert state(run) == "running"
    assert state(run) == "stopped"


def test_who_looks_keeps_nobody_from_training(root):
    [run] = select(["name=fast"])
    handle = os.open(run.path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    looking = threading.Timer(0.05, os.close, [handle])
    looking.start()
    with run.folder.alone():
        assert state(run) == "running"
    looking.join()


@pytest.mark.parametrize("word", ["nothing", "runs/none", "preset=dapo", "env>3", "greedy>x"])
def test_words_that_choose_nothing_are_errors(root, word):
    with pytest.raises(ConfigError):
        select([word])


def test_tags_stay_with_the_run(root):
    for run in matches(listed(), ["lr=0.01", "env=CartPole-v1"]):
        retag(run, ["paper"])
    assert seeds(select(["tag=paper"])) == [("CartPole-v1", "grpo", seed) for seed in range(3)]
    retag(select(["tag=paper seed=1"])[0], remove=["paper"])
    assert [run.seed for run in select(["tag=paper"])] == [0, 2]


@pytest.mark.parametrize("harm", ["", "{", '{"version": 1}', '{"version": [], "runs": []}'])
def test_the_index_rebuilds_itself(root, harm):
    before = listed()
    (root / NAME).write_text(harm)
    assert listed() == before
    kept = json.loads((root / NAME).read_text())["runs"]
    assert len(kept) == 5


def test_the_index_follows_the_folders(root):
    listed()
    run = run_folder(root, 7, score=None)
    [new] = [run for run in listed() if run.seed == 7]
    assert new.ret == 30.0
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 400, "rollout/ep_rew_mean": 99.0}\n{"step": 500, "roll')
    assert [run.ret for run in listed() if run.seed == 7] == [99.0]
    run.path.rename(root / "CartPole-v1" / "other")
    assert [run.name for run in listed() if run.seed == 7] == ["other"]


def test_an_index_that_is_current_is_not_read_again(root, monkeypatch):
    before = listed()
    monkeypatch.setattr("grpo_cli.runs.index.look", lambda path: pytest.fail(f"read {path}"))
    assert listed() == before


def test_sides_are_runs_with_equal_configs_but_for_the_seed(root):
    found = sides(select(["env=CartPole-v1"]))
    assert {label: [run.seed for run in group] for label, group in found.items()} == {
        "lr=0.01": [0, 1, 2], "lr=0.5": [0],
    }  # fmt: skip
    [run] = select(["name=fast"])
    assert settings(run)["loss.eps_low"] == "0.2"


def test_a_config_that_would_take_for_ever_is_not_read(root):
    [run] = select(["name=fast"])
    run.folder.write("config.yaml", "a: &a [1, 1]\nb: [*a, *a]\n")
    assert settings(run) == {}


def test_long_files_are_thinned_but_evaluations_stay(root):
    run = select(["last"])[0]
    lines = [{"step": i, RETURN: float(i)} for i in range(1000)]
    lines[501]["eval/greedy/mean_reward"] = 7.0
    run.folder.write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    found = series(run, most=10)
    assert len(found[RETURN].x) == 11
    assert (found[RETURN].x[0], found[RETURN].x[-1]) == (0, 999)
    assert found["eval/greedy/mean_reward"].y == [7.0]


def test_a_band_holds_the_last_value_of_a_run_that_ended():
    short, long = Series([0, 10], [0.0, 8.0]), Series([0, 10, 20], [0.0, 0.0, 4.0])
    band = bands({"a": [short, long]})["a"]
    np.testing.assert_array_equal(band.x, [0, 10, 20])
    np.testing.assert_array_equal(band.y, [0, 4, 6])  # (8 + 4) / 2: the short one stays at 8
    assert band.low[2] == 4
    assert band.high[2] == 8
    one = bands({"a": [short]})["a"]
    np.testing.assert_array_equal(one.low, one.y)
