"""Processes share a sweep through a real PostgreSQL server, from the system's packages."""

import csv
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_cli.sweep.claims import RUNNING, TRIAL, Claims, Row

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]
QUICK = "num_groups=1 epochs=1 eval.episodes=2 eval.final_episodes=2 total_steps=300".split()
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


def programs():
    """Find the server's programs; install them where that is possible."""

    def found():
        on_path = shutil.which("initdb")
        folders = [folder for place in PLACES for folder in sorted(Path("/").glob(place[1:]))]
        good = [folder for folder in folders if (folder / "initdb").exists()]
        return Path(on_path).parent if on_path else good[-1] if good else None

    if found() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in (["update", "-q"], ["install", "-q", "-y", "postgresql"]):
            subprocess.run(["apt-get", *command], capture_output=True, check=False)
    return found()


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A server of our own on a free port, with a password."""
    pytest.importorskip("psycopg")
    bin_ = programs()
    if bin_ is None:
        pytest.skip("PostgreSQL is not installed")
    folder = tmp_path_factory.mktemp("postgresql")
    data, word = folder / "data", folder / "password"
    word.write_text("secret")
    # The server refuses to run as root.
    as_user = []
    if os.geteuid() == 0:
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        for place in (folder, *folder.parents[:2]):
            place.chmod(0o755)
        shutil.chown(folder, "postgres")
        shutil.chown(word, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(*words):
        subprocess.run([*as_user, *map(str, words)], check=True, cwd="/", capture_output=True)

    run(bin_ / "initdb", "-D", data, "-U", "grpo", "-A", "scram-sha-256", f"--pwfile={word}", "-N")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    run(bin_ / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
    try:
        yield f"postgresql://grpo@127.0.0.1:{port}/postgres"
    finally:
        # Not waited for: where nobody reaps orphans its process never seems to end.
        run(bin_ / "pg_ctl", "-D", data, "-m", "immediate", "-W", "stop")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "secret")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def start(home, *words):
    home.mkdir(exist_ok=True)
    with (home / "stderr").open("w") as errors:
        command = [sys.executable, "-m", "grpo_cli", "sweep", *words]
        return subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=errors)


def test_two_computers_share_a_sweep(url, tmp_path):
    """Two working folders that share nothing but the server, as two computers do."""
    words = ["env=CartPole-v1", "lr=interval(0.001,0.01)", *QUICK, "sweep.trials=8"]
    words += [
        "sweep.confirm=2",
        "sweep.finalists=1",
        "sweep.name=shared",
        f"sweep.storage={url}",
        "sweep.reuse=true",
    ]
    homes = [tmp_path / "one", tmp_path / "two"]
    started = [start(home, *words) for home in homes]
    codes = [process.wait() for process in started]
    assert codes == [0, 0], [(home / "stderr").read_text() for home in homes]
    tables = []
    for home in homes:
        with (home / "runs/sweeps/shared/trials.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
        assert "secret" not in (home / "runs/sweeps/shared/result.json").read_text()
    assert tables[0] == tables[1]
    assert len({row["lr"] for row in tables[0]}) == 8
    assert [row["number"] for row in tables[0]] == [str(number) for number in range(8)]
    assert {row["attempts"] for row in tables[0]} == {"1"}
    made = [
        len(list(home.glob("runs/sweeps/shared/trial-*/seed-0/summary.json"))) for home in homes
    ]
    assert sum(made) == 8
    assert min(made) > 0
    fresh = [len(list(home.glob("runs/sweeps/shared/fresh-*/seed-*"))) for home in homes]
    assert sum(fresh) == 2


def test_claims_keep_their_promises_there_too(url, tmp_path):
    sa = pytest.importorskip("sqlalchemy")
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    one, other = (Claims(engine, "x", tmp_path) for _ in range(2))
    row = Row(TRIAL, 0, 0, RUNNING)
    assert one.claim(row)
    assert not other.claim(Row(TRIAL, 0, 0, RUNNING))
    assert 0 <= other.rows()[0].stale_s < 10
    one.give_back(row)
    [left], [same] = other.rows(), one.rows()
    assert other.take_over(left)
    assert not one.take_over(same)
    assert one.beat([row]) == [row]
    assert other.beat([left]) == []
    engine.dispose()


def test_a_server_that_is_not_there_is_one_clean_error(tmp_path):
    words = ["env=CartPole-v1", "lr=1e-3,2e-3", *QUICK, "sweep.name=x"]
    process = start(tmp_path / "home", *words, "sweep.storage=postgresql://x@127.0.0.1:1/x")
    assert process.wait() == 2
    said = (tmp_path / "home/stderr").read_text()
    assert "error: the sweep's database cannot be opened" in said
    assert "Traceback" not in said
