"""A short form of `make torture`: a real trainer, killed while it saves."""

import importlib.util
import signal
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "torture.py"


@pytest.fixture(scope="module")
def torture():
    sys.path.insert(0, str(FILE.parent))  # as for a script that is called
    spec = importlib.util.spec_from_file_location("torture", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FILE.parent))


@pytest.mark.slow
def test_a_killed_trainer_loses_nothing_it_had_saved(torture, tmp_path):
    row = torture.kills(tmp_path, signal.SIGKILL, 1, 1500, [])
    assert "0 damaged, 0 unequal" in row


def test_random_words_are_answered_cleanly(torture):
    pytest.importorskip("hypothesis")
    row = torture.words_at_random(15)  # asserts
    assert "0 tracebacks" in row
    assert " 0 configs" not in row


def test_the_page_has_the_marks(torture):
    page = torture.PAGE.read_text()
    assert page.count(torture.MARKS[0]) == page.count(torture.MARKS[1]) == 1
