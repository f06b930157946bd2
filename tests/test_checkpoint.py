import json
import os

import pytest
import torch

from grpo_cli import checkpoint
from grpo_cli.adam import Adam
from grpo_cli.checkpoint import FILES, Checkpoint
from grpo_cli.errors import CheckpointError


def content(value=1.0):
    return Checkpoint(
        policy={"head.weight": torch.full((2, 3), value)},
        state={"optimizer/0/step": torch.tensor(7.0)},
        facts={"env": "CartPole-v1", "steps": 12, "reward_scaling": None},
    )


def save(folder, step, value=1.0, keep=3, best=False):
    return checkpoint.save(folder, step, content(value), keep=keep, best=best)


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def test_what_is_saved_is_loaded(tmp_path):
    path = save(tmp_path, 12_000)
    assert path.name == "step-000012000"
    loaded = checkpoint.load(path)
    assert torch.equal(loaded.policy["head.weight"], content().policy["head.weight"])
    assert loaded.state["optimizer/0/step"].item() == 7
    assert loaded.facts == content().facts


def test_links_are_relative_and_follow(tmp_path):
    save(tmp_path, 1, best=True)
    save(tmp_path, 2)
    assert os.readlink(tmp_path / "last") == "step-000000002"
    assert os.readlink(tmp_path / "best") == "step-000000001"


def test_the_newest_and_the_best_are_kept(tmp_path):
    for step in range(1, 7):
        save(tmp_path, step, keep=2, best=step == 2)
    assert names(tmp_path) == ["step-000000002", "step-000000005", "step-000000006"]


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_flipped_bit_anywhere_is_found(tmp_path, name):
    path = save(tmp_path, 1)
    good = (path / name).read_bytes()
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << (place % 8)
        (path / name).write_bytes(bad)
        with pytest.raises(CheckpointError):
            checkpoint.load(path)


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_truncated_or_missing_file_is_found(tmp_path, name):
    path = save(tmp_path, 1)
    good = (path / name).read_bytes()
    for size in (0, 1, len(good) // 2, len(good) - 2):
        (path / name).write_bytes(good[:size])
        with pytest.raises(CheckpointError):
            checkpoint.load(path)
    (path / name).unlink()
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


def test_a_newer_schema_asks_for_an_upgrade(tmp_path):
    path = save(tmp_path, 1)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "schema": 99}))
    with pytest.raises(CheckpointError, match="newer") as refused:
        checkpoint.load(path)
    assert "upgrade" in refused.value.fix


def test_a_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"no manifest\.json"):
        checkpoint.load(tmp_path)


def test_a_checkpoint_is_taken_up_again_as_it_was(tmp_path):
    for step in (1, 2, 3):
        save(tmp_path, step, value=step, best=step in (1, 3))
    (tmp_path / ".partial-1-step-000000004").mkdir()  # what crashes leave behind
    (tmp_path / ".pruned-step-000000000").mkdir()
    aside = checkpoint.take_up(tmp_path, tmp_path / "step-000000002", best=1)
    assert aside == ["aside-step-000000003"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "aside-step-000000003", "best", "last", "step-000000001", "step-000000002",
    ]  # fmt: skip
    assert os.readlink(tmp_path / "last") == "step-000000002"
    assert os.readlink(tmp_path / "best") == "step-000000001"
    checkpoint.take_up(tmp_path, tmp_path / "step-000000002", best=9)
    assert not (tmp_path / "best").exists()  # it is not there any more


def test_an_optimizer_takes_back_its_state():
    parameters = [torch.nn.Parameter(torch.tensor([1.0, 2.0])) for _ in range(2)]
    optimizer, other = Adam(parameters, lr=0.1), Adam(parameters, lr=0.1)
    for parameter in parameters:
        parameter.grad = torch.tensor([0.5, -1.0])
    optimizer.step()
    tensors = checkpoint.optimizer_tensors(optimizer)
    checkpoint.load_optimizer(other, {**tensors, "reference/x": torch.ones(1)})
    again = checkpoint.optimizer_tensors(other)
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    del tensors["optimizer/1/step"]
    with pytest.raises(KeyError):
        checkpoint.load_optimizer(other, tensors)


def test_a_failed_save_leaves_the_old_ones_and_no_remains(tmp_path, monkeypatch):
    save(tmp_path, 1)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        save(tmp_path, 2)
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last", "step-000000001"]
    checkpoint.load(tmp_path / "last")


def test_beyond_a_billion_steps_the_newest_is_still_the_newest(tmp_path):
    steps = (999_900_000, 999_950_000, 1_000_050_000, 1_000_100_000)
    for step in steps:
        save(tmp_path, step, keep=2)
    assert names(tmp_path) == ["step-1000050000", "step-1000100000"]
    chosen = tmp_path / "step-1000050000"
    assert checkpoint.take_up(tmp_path, chosen, best=None) == ["aside-step-1000100000"]
