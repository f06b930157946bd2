"""Numbers are claimed once, taken over from the dead, and accepted from their owner alone."""

import subprocess
import sys
import time

import pytest

from grpo_cli.sweep import claims as module
from grpo_cli.sweep.claims import COMPLETE, RUNNING, TRIAL, WAITING, Claims, Row

sa = pytest.importorskip("sqlalchemy")


@pytest.fixture
def engine(tmp_path):
    return sa.create_engine(f"sqlite:///{tmp_path / 'study.db'}", connect_args={"timeout": 30})


@pytest.fixture
def two(engine, tmp_path):
    return Claims(engine, "x", tmp_path), Claims(engine, "x", tmp_path)


def test_a_number_is_given_once(two):
    one, other = two
    assert one.claim(Row(TRIAL, 0, 0, RUNNING))
    assert not other.claim(Row(TRIAL, 0, 0, RUNNING))
    assert other.claim(Row(TRIAL, 1, 0, RUNNING))
    assert [(row.number, row.owner) for row in one.rows()] == [(0, one.owner), (1, other.owner)]


def test_another_study_has_its_own_numbers(two, engine, tmp_path):
    assert two[0].claim(Row(TRIAL, 0, 0, RUNNING))
    assert Claims(engine, "y", tmp_path).claim(Row(TRIAL, 0, 0, RUNNING))


def test_what_was_given_back_is_taken_over_once(two, engine, tmp_path):
    one, other = two
    row = Row(TRIAL, 0, 0, RUNNING)
    one.claim(row)
    row.optuna, row.params = 7, {"lr": 0.1}
    assert one.begin(row)
    assert one.give_back(row)
    [left] = other.rows()
    assert (left.state, left.optuna, left.params, left.attempt) == (WAITING, 7, {"lr": 0.1}, 1)
    [same] = Claims(engine, "x", tmp_path).rows()
    assert other.take_over(left)
    assert not one.take_over(same)
    assert left.attempt == 2


def test_only_the_owner_may_say_what_came_of_it(two):
    one, other = two
    row = Row(TRIAL, 0, 0, RUNNING)
    one.claim(row)
    one.give_back(row)
    [theirs] = other.rows()
    other.take_over(theirs)
    row.state, row.value = COMPLETE, 1.0
    assert not one.finish(row)  # its process slept, and somebody else was faster
    assert one.beat([row]) == [row]
    theirs.state, theirs.value, theirs.facts = COMPLETE, 2.0, {"score": 2.0}
    assert other.finish(theirs)
    [stored] = one.rows()
    assert (stored.state, stored.value, stored.facts) == (COMPLETE, 2.0, {"score": 2.0})


def test_a_lock_tells_of_the_living_and_of_the_dead(two, tmp_path):
    one, other = two
    with one.alive():
        one.claim(Row(TRIAL, 0, 0, RUNNING))
        assert not other.is_dead(other.rows()[0])
        lock = next((tmp_path / "owners").iterdir())
    lock.touch()  # as a process leaves it that is killed: there, and held by nobody
    assert other.is_dead(other.rows()[0])


def test_without_a_lock_the_beat_decides(two, monkeypatch):
    one, other = two
    one.claim(Row(TRIAL, 0, 0, RUNNING))
    assert not other.is_dead(other.rows()[0])  # it may be on another computer
    monkeypatch.setattr(module, "DEAD_S", 0.0)
    time.sleep(0.02)
    assert other.is_dead(other.rows()[0])


CLAIM_ALL = """
import sys, sqlalchemy as sa
from pathlib import Path
from grpo_cli.sweep.claims import Claims, Row
claims = Claims(sa.create_engine(sys.argv[1], connect_args={"timeout": 30}), "x", Path("."))
taken = [n for n in range(40) if claims.claim(Row("trial", n, 0, "running"))]
print(*taken)
"""


def test_processes_that_claim_at_once_share_out_the_numbers(engine, tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM_ALL, str(engine.url)],
            stdout=subprocess.PIPE, text=True, cwd=tmp_path,
        )
        for _ in range(3)
    ]  # fmt: skip
    taken = [int(n) for process in started for n in process.communicate()[0].split()]
    assert sorted(taken) == list(range(40))
