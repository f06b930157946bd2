"""The report as a file: whole, self-contained, and data in it stays data."""

import json
import re

import pytest
from run_files import run_folder
from small_runs import own_place, train

from grpo_cli import report
from grpo_cli.report.collect import POINTS, collect
from grpo_cli.report.page import page
from grpo_cli.runs import select
from grpo_cli.sinks import Groups


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def held(text):
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(data)


def test_nothing_is_loaded_from_anywhere(root):
    run_folder(root)
    text = page(collect(select(["runs"])))
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*\"", text)
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert not re.findall(r"/\*[\w.]+\*/|__DATA__", text)


def test_what_a_run_says_is_never_markup(root):
    run = run_folder(root)
    evil = "</script><script>alert(1)</script><!--"
    run.write_json("meta.json", {**run.read_json("meta.json"), "command": [evil]})
    run.write("config.yaml", f"env:\n  id: 'x{evil}'\n")
    text = page(collect(select(["runs"])))
    assert evil not in text
    assert text.count("</script>") == 2
    [found] = held(text)["runs"].values()
    assert found["command"] == [evil]
    assert found["config"]["env.id"] == f"x{evil}"


def test_curves_are_thinned_to_means(root):
    run = run_folder(root, returns=tuple(float(i % 2) for i in range(2 * POINTS)))
    [found] = collect(select([str(run.path)]))["runs"].values()
    curve = found["curves"]["rollout/ep_rew_mean"]
    assert len(curve["x"]) == POINTS
    assert set(curve["y"]) == {0.5}
    assert curve["x"][-1] == 200 * POINTS


def test_seeds_have_a_band_and_scores(root):
    for seed in range(3):
        run_folder(root, seed, returns=(1.0, 2.0 + seed), score=40.0 + seed)
    [[side]] = collect(select(["runs"]))["envs"].values()
    assert side["bands"]["rollout/ep_rew_mean"]["y"] == [1, 3]
    assert side["scores"]["greedy"]["mean"] == 41
    assert side["scores"]["sampled"]["worst"] == 39


def test_groups_that_a_resumed_run_went_back_over_are_left_out(root):
    run = run_folder(root)
    lines = [{"step": step, "update": step, "groups": []} for step in (1, 2, 3, 2, 4)]
    run.write("groups.jsonl", "".join(json.dumps(line) + "\n" for line in lines) + '{"step"')
    [found] = collect(select(["runs"]))["runs"].values()
    assert [line["step"] for line in found["groups"]] == [1, 2, 4]


def test_groups_are_kept_ever_more_rarely(tmp_path):
    import numpy as np

    sink = Groups(tmp_path / "groups.jsonl")
    group = np.repeat(np.arange(9), 40)
    columns = {"return": group * 1.0, "steps": group + 1, "advantage": np.where(group, 0, np.nan)}
    metrics = {"members/group": group, "hist/advantage": np.array([-1.0, 0.0, 3.0, np.nan])} | {
        f"members/{n}": c for n, c in columns.items()
    }
    for update in range(1, 1001):
        sink.write(10 * update, metrics)
    sink.close()
    lines = [json.loads(line) for line in (tmp_path / "groups.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines[:6]] == [1, 2, 3, 4, 5, 6]
    assert len(lines) < 45
    assert lines[0]["spread"]["counts"][0] == 1
    assert (lines[0]["spread"]["high"], sum(lines[0]["spread"]["counts"])) == (3.0, 3)
    assert (lines[0]["num_groups"], len(lines[0]["groups"])) == (9, 8)
    assert lines[0]["groups"][1] == {
        "return": [1.0] * 32,
        "steps": [2.0] * 32,
        "advantage": [0.0] * 32,
    }
    assert lines[0]["groups"][0]["advantage"] == [None] * 32


@pytest.fixture
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def test_every_run_writes_its_own(place):
    run = place / train("env=CartPole-v1", "group_size=3")["run"]
    found = held((run / report.NAME).read_text())["runs"]
    [of] = found.values()
    assert of["eval"]["greedy"]["episodes"] == 3
    assert of["config"]["group_size"] == "3"
    assert len(of["groups"][0]["groups"][0]["return"]) == 3
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    returns = of["groups"][0]["groups"][0]["return"]
    assert (min(returns), max(returns)) == (first["group/reward_min"], first["group/reward_max"])


def test_a_report_that_cannot_be_written_costs_no_run(place, monkeypatch):
    monkeypatch.setattr("grpo_cli.report.NAME", "none/report.html")
    assert train("env=CartPole-v1")["env_steps"] >= 300
