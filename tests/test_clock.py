"""Where the time goes: parts by hand, the marks, and what they leave as it was."""

from itertools import count
from types import SimpleNamespace

import pytest

from grpo_cli import clock as module
from grpo_cli import returns, update
from grpo_cli.clock import OTHER, Clock, Nested, part, timed
from grpo_cli.envs import Sync


@pytest.fixture
def ticks(monkeypatch):
    """Let every look at the time find it one second later."""
    seconds = count()
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))


def test_a_lap_names_the_time_since_the_last(ticks):
    clock = Clock()  # 0
    clock.lap("env")  # 1
    clock.lap("act")  # 2
    clock.lap("env")  # 3
    assert clock.seconds == {"env": 2, "act": 1}


def test_a_moment_belongs_to_the_innermost_part_under_the_outermost(ticks):
    clock = Nested()  # 0
    clock.run(True)  # 1
    clock.begin("sample")  # 2: other since 1
    clock.begin("backend")  # 3: sample since 2
    clock.begin("env step")  # 4: backend since 3
    clock.end()  # 5: env step since 4
    clock.end()  # 6: backend since 5
    clock.end()  # 7: sample since 6
    clock.run(False)  # 8: other since 7
    assert clock.seconds == {
        OTHER: 2, "sample": 2, "sample/backend": 2, "sample/env step": 1,
    }  # fmt: skip
    assert sum(clock.seconds.values()) == 8 - 1


def test_what_passes_while_it_stands_still_belongs_to_no_part(ticks):
    clock = Nested()  # 0
    clock.begin("log")  # 1
    clock.run(True)  # 2: begins in the middle of a part
    clock.end()  # 3: log since 2
    clock.run(False)  # 4: other since 3
    clock.begin("log")  # 5
    clock.end()  # 6
    clock.run(True)  # 7
    clock.run(False)  # 8: other since 7
    assert clock.seconds == {"log": 1, OTHER: 2}


def test_it_waits_for_the_device_only_while_it_runs():
    waits = []
    clock = Nested(lambda: waits.append(1))
    clock.begin("update")
    clock.run(True)
    assert not waits
    clock.end()
    assert len(waits) == 1


def test_a_mark_leaves_the_function_what_it_is():
    def double(x):
        return 2 * x

    assert part("score")(double) is double


def test_marked_functions_tell_the_clock_wherever_they_are_held_and_only_then():
    step, slices, sums = Sync.step, update.by_rows, returns.returns_to_go
    assert not hasattr(step, "__wrapped__")
    clock = Nested()
    with timed(clock):
        assert Sync.step.__wrapped__ is step  # a method
        assert update.by_rows.__wrapped__ is slices  # imported from another module
        with pytest.raises(AttributeError):
            update.by_rows(None, 1, None)  # a part that raises is left all the same
        clock.run(True)
        clock.run(False)
    assert set(clock.seconds) == {OTHER}
    assert (Sync.step, update.by_rows, returns.returns_to_go) == (step, slices, sums)
