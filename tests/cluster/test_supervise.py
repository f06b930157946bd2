"""What is lost goes on from the last checkpoint, and not for ever."""

from pathlib import Path

import pytest

from grpo_cli.cluster import Lost, Order, Outcome, supervise
from grpo_cli.errors import EnvError


def make_order(tmp_path, resume=None):
    return Order("", (), str(tmp_path), (), str(tmp_path / "note"), True, resume)


class Attempts:
    """Writes a checkpoint at each of these steps, and is lost after it; a None saves nothing."""

    def __init__(self, folder, *steps):
        self.run, self.steps, self.asked = folder / "run", list(steps), []

    def __call__(self, order):
        self.asked.append(order.resume)
        Path(order.note).write_text(str(self.run))
        if not self.steps:
            return Outcome(summary={"done": True})
        step = self.steps.pop(0)
        if step is not None:
            (self.run / "checkpoints" / f"step-{step:09d}").mkdir(parents=True)
        raise Lost("a computer is gone")


def test_goes_on_from_the_last_checkpoint(tmp_path):
    said = []
    attempts = Attempts(tmp_path, 100, 200)
    outcome = supervise(attempts, make_order(tmp_path), 1, said.append)
    assert outcome.summary == {"done": True}
    assert attempts.asked == [None, str(attempts.run), str(attempts.run)]
    assert said == [
        "a computer is gone; going on at 100 env steps",
        "a computer is gone; going on at 200 env steps",
    ]


def test_begins_again_where_nothing_was_saved(tmp_path):
    attempts = Attempts(tmp_path, None)
    supervise(attempts, make_order(tmp_path), 1, lambda _: None)
    assert attempts.asked == [None, None]


def test_gives_up_when_it_comes_no_further(tmp_path):
    attempts = Attempts(tmp_path, 100, None, None, None)
    with pytest.raises(EnvError, match="a computer is gone, 3 times in a row") as error:
        supervise(attempts, make_order(tmp_path), 2, lambda _: None)
    assert len(attempts.asked) == 3  # progress at first, then two failures without any
    assert f"resume={attempts.run}" in error.value.fix
