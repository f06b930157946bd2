"""What is exported does what the policy does, and says when it does not."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from nested_env import NESTED
from small_runs import evaluate, own_place, train
from typer.testing import CliRunner

from grpo_cli import checkpoint
from grpo_cli.cli import app
from grpo_cli.config import build, exporting
from grpo_cli.config.asks import ExportConf
from grpo_cli.config.build_env import build_env
from grpo_cli.config.built import take
from grpo_cli.config.saved import open_config
from grpo_cli.envs.spaces import action_codec
from grpo_cli.errors import CheckpointError, ConfigError, GrpoError
from grpo_cli.export.check import _along, _of_policy, visited
from grpo_cli.export.deployed import decoder
from grpo_cli.rundir import RunFolder
from grpo_cli.sinks.view import View

BOX = spaces.Box(np.array([-2, 0, -np.inf], np.float32), np.array([3, np.inf, np.inf], np.float32))


@pytest.fixture
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def export(ckpt, format, trusted=False, **words):
    conf = ExportConf(ckpt=str(ckpt), format=format, **words)
    return exporting.export_job(conf, view=View(quiet=True), trusted=trusted)


@pytest.mark.parametrize("squash", [False, True])
@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(5, start=-2), spaces.MultiDiscrete([2, 3], start=[1, -1]),
        spaces.MultiDiscrete([[2, 3], [4, 2]]), spaces.MultiBinary((2, 3)), BOX,
        spaces.Box(-1, 1, (2, 2), np.float64), spaces.Box(0, 9, (3,), np.int32),
    ],
    ids=str,
)  # fmt: skip
def test_actions_are_those_of_the_codec(space, squash):
    if squash and (not isinstance(space, spaces.Box) or not space.is_bounded()):
        return
    codec = action_codec("x", space, "tanh" if squash else "clip")
    outputs = np.random.default_rng(0).normal(0, 3, (50, codec.family.num_outputs))
    params = outputs.astype(np.float32)
    if codec.family.num_free:
        params = np.concatenate([params, np.zeros_like(params)], axis=1)
    theirs = codec.decode(codec.family.mode(params))
    ours = decoder(space, squash)(torch.from_numpy(outputs.astype(np.float32))).numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "format", [pytest.param("torchscript", marks=pytest.mark.slow), "safetensors"]
)
def test_files_that_torch_reads(place, format):
    run = train("env=Pendulum-v1", "num_groups=2", "policy.normalise=true")["run"]
    found = export(run, format)
    assert (found["states"], found["same"]) == (1000, 1.0)
    assert found["difference"] < 1e-4
    assert Path(found["out"]).parent == Path(run)


def test_a_file_that_differs_is_not_kept(place, monkeypatch):
    run = train("env=CartPole-v1")["run"]
    monkeypatch.setattr("grpo_cli.export.deployed.decoder", lambda *a, **k: lambda x: x.argmin(1))
    with pytest.raises(GrpoError, match=r"differs from the policy.*same actions on \d"):
        export(run, "torchscript")
    assert not list(Path(run).glob("*policy*"))


@pytest.mark.slow
def test_what_cannot_be_exported_is_said(place):
    run = train("env=CartPole-v1")["run"]
    result = CliRunner().invoke(app, ["export", f"ckpt={run}", "format=onxx"])
    assert result.exit_code == 2
    assert "format must be" in result.stderr
    with pytest.raises(ConfigError, match="no folder nowhere"):
        export(run, "torchscript", out="nowhere/a.pt")


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "torchscript", "safetensors"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_memory_goes_in_and_comes_out(place, format, cell):
    words = [
        "env=grpo/TMaze-v0",
        "policy=recurrent",
        f"policy.cell={cell}",
        "policy.normalise=true",
    ]
    run = train(*words)["run"]
    found = export(run, format)
    assert (found["states"], found["same"]) == (1000, 1.0)
    if format == "onnx":
        ours, theirs = evaluate(run, episodes=20), evaluate(found["out"], episodes=20)
        assert theirs["eval"] == ours["eval"]


def test_a_memory_that_is_not_handed_on_is_noticed(place):
    run = train("env=grpo/TMaze-v0", "policy=recurrent", "policy.head_gain=1")["run"]
    words = build.plain(open_config(RunFolder(Path(run)), trusted=False, named=set()))
    source, policy = build_env(words), policy_of(Path(run))
    rounds = visited(source, policy, 0, 200)
    assert sum(len(member) for member, _ in rounds) == 200
    own = _of_policy(policy, source)
    right, forgetful = (
        _along(rounds, step, policy.memory_size)[1]
        for step in (own, lambda obs, memory: own(obs, np.zeros_like(memory)))
    )
    assert np.abs(right - forgetful).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mlp", "recurrent"])
def test_dicts_and_tuples_have_an_input_and_an_output_for_each_entry(place, policy):
    (place / "nested.py").write_text(NESTED)
    run = train("env=./nested.py:Nested", "env.max_steps=20", f"policy={policy}")["run"]
    for format in ("safetensors", "torchscript", "onnx"):
        assert export(run, format)["same"] == 1.0
    import onnxruntime

    session = onnxruntime.InferenceSession(Path(run) / "policy.onnx")
    memory = ["memory"] * (policy == "recurrent")
    assert [entry.name for entry in session.get_inputs()] == ["a", "b.0", *memory]
    names = [entry.name for entry in session.get_outputs()][:3]
    assert names == ["action.go", "action.how.0", "action.how.1"]
    scores = [evaluate(one, trusted=True) for one in (run, Path(run) / "policy.onnx")]
    for mode in ("greedy", "sampled"):
        ours, theirs = (score["eval"][mode]["mean"] for score in scores)
        assert theirs == pytest.approx(ours, rel=1e-3)


@pytest.mark.slow
def test_own_code_is_not_imported_from_a_strangers_run(place):
    run = Path(train("env=./my_env.py:Guess", "env.max_steps=5")["run"])
    (place / "my_env.py").write_text((place / "my_env.py").read_text() + "\nchanged = 1\n")
    with pytest.raises(CheckpointError, match="would import"):
        export(run, "safetensors")


def policy_of(run):
    words = build.plain(open_config(RunFolder(run), trusted=False, named=set()))
    source = build_env(words)
    policy = build.build_policy(words, source, torch.device("cpu"))
    take(policy, checkpoint.load(run / "checkpoints/last"), run, source)
    return policy


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
kept = np.load("kept.npz")
[action] = session.run(["action"], {"obs": kept["obs"]})
np.testing.assert_array_equal(action, kept["action"])
"""


@pytest.mark.slow
def test_onnx_runs_without_torch_and_scores_the_same(place):
    run = Path(train("env=CartPole-v1", "total_steps=3000")["run"])
    assert export(run, "onnx", out="p.onnx")["same"] == 1.0
    ours, theirs = evaluate(run, episodes=20), evaluate("p.onnx", episodes=20)
    assert theirs["eval"] == ours["eval"]
    assert (theirs["env"], theirs["seed"]) == (ours["env"], ours["seed"])

    obs = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    np.savez("kept.npz", obs=obs, action=policy_of(run).act(obs, None)[0][:, 0])
    words = [sys.executable, "-c", WITHOUT_TORCH, "p.onnx"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    ["env=Pendulum-v1 policy.bounds=tanh policy.normalise=true", "env=FrozenLake-v1",
     "env=grpo/Catch-v0", "env=MountainCarContinuous-v0 policy.std=state", "env=Taxi-v4"],
)  # fmt: skip
def test_onnx_of_many_spaces(place, words):
    run = train(*words.split(), "num_groups=2", "total_steps=300")["run"]
    found = export(run, "onnx")
    assert found["difference"] < 1e-3
    ours, theirs = evaluate(run, episodes=5), evaluate(found["out"], episodes=5)
    for mode in ("greedy", "sampled"):
        assert theirs["eval"][mode]["mean"] == pytest.approx(ours["eval"][mode]["mean"], rel=1e-3)


@pytest.mark.slow
def test_an_onnx_file_of_a_stranger_imports_nothing(place):
    run = train("env=./my_env.py:Guess", "env.max_steps=5")["run"]
    export(run, "onnx", out="p.onnx")
    with pytest.raises(CheckpointError, match="would import"):
        evaluate("p.onnx")
    assert evaluate("p.onnx", trusted=True)["eval"]["greedy"]["mean"] >= 0
    (place / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        evaluate("bad.onnx")
    with pytest.raises(CheckpointError, match="no file gone"):
        evaluate("gone.onnx")
