"""An environment that hangs in this process is spoken of, with the place where it does."""

import threading

import numpy as np
import pytest
from faults import Faulty

from grpo_cli.envs import Sync, open_env, watched

DEADLINE_S = 30  # only reached when nothing is said


class Slow(Faulty):
    """Waits in one of its calls until it has been spoken of."""

    spoken = threading.Event()
    waits_in = ""

    def wait(self, call):
        if call == self.waits_in and not self.spoken.wait(DEADLINE_S):
            pytest.fail("nobody noticed")

    def __init__(self):
        self.wait("making")

    def reset(self, **given):
        self.wait("reset")
        return super().reset(**given)

    def step(self, action):
        self.wait("step")
        return super().step(action)


@pytest.mark.parametrize("call", ["making", "reset", "step"])
def test_a_call_that_hangs_is_spoken_of_once(monkeypatch, call):
    source, said = open_env("Slow", max_steps=9, own_class=Slow), []
    monkeypatch.setattr(Slow, "waits_in", call)
    monkeypatch.setattr(Slow, "spoken", threading.Event())

    def warn(line):
        said.append(line)
        Slow.spoken.set()

    with watched(warn, patience_s=0.1):
        backend = Sync(source.make, 1)
        backend.reset(np.array([0]))
        backend.step(np.array([0]), np.array([1]))
    [line] = said
    assert "has not answered for 0.1 s" in line
    assert "test_watch.py:" in line
    assert "wait > " in line


def test_many_short_calls_are_not_a_hang():
    said, over = [], threading.Event()
    source = open_env("Slow", max_steps=9, own_class=Slow)
    with watched(said.append, patience_s=0.01):
        backend = Sync(source.make, 1)
        threading.Timer(0.3, over.set).start()
        while not over.is_set():
            backend.reset(np.array([0]))
    assert said == []
