"""Requests to stop, as real signals to this process."""

import contextlib
import os
import signal
import time

import pytest

from grpo_cli.stop import HEARD, Dropped, Stop


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_the_first_is_noted_and_the_second_ends(number):
    stop, before = Stop(), signal.getsignal(number)
    with stop.listen():
        assert not stop.asked
        send(number)
        assert (stop.asked, (stop.why, stop.exit_code)) == (True, HEARD[number])
        error = KeyboardInterrupt if number == signal.SIGINT else SystemExit
        with pytest.raises(error) as ended:
            send(number)
        if error is SystemExit:
            assert ended.value.code == 143
        assert signal.getsignal(number) == signal.SIG_DFL  # a third does not even unwind
    assert signal.getsignal(number) == before


def test_what_is_being_sampled_is_dropped_at_once():
    stop, went_on = Stop(), []
    with stop.listen():
        with contextlib.suppress(Dropped), stop:
            send(signal.SIGTERM)
            went_on.append("after the request")
        with contextlib.suppress(Dropped), stop:
            went_on.append("something new began")
    assert went_on == []


def test_nothing_is_dropped_outside_and_the_person_is_told_so():
    said = []
    stop = Stop(said.append)
    with stop.listen():
        with stop:
            pass
        send(signal.SIGTERM)
        assert stop.asked
    assert len(said) == 1
    assert "asked again, it stops at once" in said[0]


def test_time_that_is_up_drops_too():
    stop = Stop()
    with stop.listen(0.05), contextlib.suppress(Dropped), stop:
        time.sleep(60)
        pytest.fail("it was not dropped")
    assert stop.why == "max_time is over"
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_swallowing_exceptions_does_not_swallow_a_request():
    assert not issubclass(Dropped, Exception)
