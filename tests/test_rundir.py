import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from grpo_cli import rundir
from grpo_cli.errors import CheckpointError, ConfigError
from grpo_cli.rundir import RunFolder, find


def make_run(root, started, name="grpo", steps=(1, 2), best=1):
    run = rundir.create("CartPole-v1", name, 0, root)
    run.write_json("meta.json", {**rundir.metadata("CartPole-v1", 0), "started": started})
    for step in steps:
        (run.checkpoints / f"step-{step:09d}").mkdir()
    os.symlink(f"step-{steps[-1]:09d}", run.checkpoints / "last")
    os.symlink(f"step-{best:09d}", run.checkpoints / "best")
    return run


def test_runs_of_the_same_second_get_different_folders(tmp_path):
    with ThreadPoolExecutor(10) as pool:
        runs = list(pool.map(lambda _: rundir.create("CartPole-v1", "x", 3, tmp_path), range(30)))
    assert len({run.path for run in runs}) == 30
    assert all(run.path.parent == tmp_path / "CartPole-v1" for run in runs)
    assert all(run.path.name.startswith("x-s3-") for run in runs)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("a file is in the way")
    with pytest.raises(ConfigError, match="no run folder can be made"):
        rundir.create("CartPole-v1", "x", 0, tmp_path / "runs")


def test_every_way_of_naming_a_checkpoint(tmp_path):
    old = make_run(tmp_path, "2026-01-01T00:00:00", "old")
    new = make_run(tmp_path, "2026-01-02T00:00:00", "new")
    assert find("last", tmp_path) == (new, new.checkpoints / "step-000000002")
    assert find("best", tmp_path) == (new, new.checkpoints / "step-000000001")
    assert find(str(old.path), tmp_path) == (old, old.checkpoints / "step-000000002")
    assert find(f"{old.path}/best", tmp_path)[1].name == "step-000000001"
    assert find(f"{old.path}/last", tmp_path)[1].name == "step-000000002"
    exact = old.checkpoints / "step-000000001"
    assert find(str(exact), tmp_path) == (old, exact)
    assert find(f"{old.path}/checkpoints/best", tmp_path)[0] == old


def test_what_is_not_there_says_what_is(tmp_path):
    with pytest.raises(CheckpointError, match="no runs") as refused:
        find("last", tmp_path)
    assert "grpo train" in refused.value.fix
    run = make_run(tmp_path, "2026-01-01T00:00:00")
    with pytest.raises(CheckpointError) as refused:
        find(str(run.path)[:-1], tmp_path)
    assert str(run.path) in refused.value.fix
    (run.checkpoints / "best").unlink()
    with pytest.raises(CheckpointError, match="no best checkpoint"):
        find(f"{run.path}/best", tmp_path)


def test_a_damaged_file_of_a_run_is_one_line(tmp_path):
    run = make_run(tmp_path, "2026-01-01T00:00:00")
    run.write("meta.json", '{"schema": 1')
    with pytest.raises(CheckpointError, match="damaged"):
        run.read_json("meta.json")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run.read("config.yaml")
    with pytest.raises(CheckpointError, match="no runs"):
        find("last", tmp_path)


def test_metadata_says_what_made_the_run():
    meta = json.loads(json.dumps(rundir.metadata("CartPole-v1", 5)))
    assert meta["env"] == "CartPole-v1"
    assert meta["versions"]["torch"][0].isdigit()


def _live_on(born):
    born.set()
    time.sleep(60)


def test_a_worker_that_outlives_its_run_does_not_keep_it_locked(tmp_path):
    run = RunFolder(tmp_path)
    context = multiprocessing.get_context("fork")
    with run.alone():
        born = context.Event()
        worker = context.Process(target=_live_on, args=(born,), daemon=True)
        worker.start()
        assert born.wait(30)
        with pytest.raises(CheckpointError, match="another process"), run.alone():
            pass
    with run.alone():
        assert worker.is_alive()
    worker.kill()
    worker.join()
