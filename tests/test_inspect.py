"""Looking into runs and checkpoints without torch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_runs import train

from grpo_cli import checkpoint
from grpo_cli.errors import CheckpointError
from grpo_cli.inspect import count, inspect


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("run"))
        return Path(
            train("env=CartPole-v1", "save_every=100", "policy.hidden=[8]")["run"]
        ).resolve()


def test_a_run_is_described(run):
    found = inspect(str(run))
    assert (found["kind"], found["made"]["env"]) == ("run", "CartPole-v1")
    *_, last = found["checkpoints"]
    assert "last" in last["marks"]
    assert last["damage"] is None
    files = (run / "checkpoints/last").iterdir()
    sizes = {path.name: path.stat().st_size for path in files}
    assert last["bytes"] == sum(sizes.values()) - sizes["manifest.json"]
    assert found["metrics"]["time/iterations"] > 0
    assert "id: CartPole-v1" in found["config"]


def test_a_checkpoint_is_described(run):
    found = inspect(str(run / "checkpoints/last"))
    loaded = checkpoint.load(run / "checkpoints/last")
    assert found["facts"] == loaded.facts
    tensors = found["tensors"]["policy.safetensors"]
    assert {name: entry["shape"] for name, entry in tensors.items()} == {
        name: list(tensor.shape) for name, tensor in loaded.policy.items()
    }
    assert count(tensors) == sum(t.numel() for t in loaded.policy.values())
    assert tensors["head.bias"]["dtype"] == {torch.float32: "F32"}[loaded.policy["head.bias"].dtype]


def test_damage_is_shown_not_raised(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy", symlinks=True)
    os.truncate(copy / "checkpoints/last/policy.safetensors", 9)
    (copy / "meta.json").write_text("{")
    found = inspect(str(copy))
    assert "has 9 bytes" in found["checkpoints"][-1]["damage"]
    assert found["made"] == {}
    assert "has 9 bytes" in inspect(str(copy / "checkpoints/last"))["damage"]


def test_what_is_not_there():
    with pytest.raises(CheckpointError, match="no run or checkpoint nowhere"):
        inspect("nowhere")


def test_neither_torch_nor_code_is_loaded(run):
    code = (
        "import sys, json; from grpo_cli.inspect import inspect; "
        f"json.dumps(inspect({str(run)!r})); inspect({str(run / 'checkpoints/last')!r}); "
        "print(*[m for m in ('torch', 'numpy', 'gymnasium', 'pickle') if m in sys.modules])"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=path, check=True
    )
    assert done.stdout.split() == []


def test_a_strangers_files_are_only_read_where_they_are(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy", symlinks=True)
    last = (copy / "checkpoints/last").resolve()
    secret = tmp_path / "secret"
    secret.write_bytes((last / "state.json").read_bytes())
    (last / "state.json").unlink()
    (last / "state.json").symlink_to(secret)
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(last)
    (last / "state.json").unlink()
    os.mkfifo(last / "state.json")  # reading it would wait for ever
    with pytest.raises(CheckpointError, match="no regular file"):
        checkpoint.load(last)


def test_a_manifest_cannot_name_files_elsewhere(run, tmp_path):
    from grpo_cli.manifest import _spelled

    copy = shutil.copytree(run, tmp_path / "copy", symlinks=True)
    last = (copy / "checkpoints/last").resolve()
    told = json.loads((last / "manifest.json").read_text())
    for name in ("../../../meta.json", "/etc/passwd", ".."):
        files = {**told["files"], name: {"bytes": 3, "sha256": ""}}
        forged = _spelled({"schema": 1, "step": 1, "files": files})
        (last / "manifest.json").write_bytes(forged)
        with pytest.raises(CheckpointError, match="names a file elsewhere"):
            checkpoint.load(last)
