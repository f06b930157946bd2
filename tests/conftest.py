"""What every test shares. One thread: the suite runs in several processes, on few cores."""

import gc
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# The same examples on every computer, however slow it is.
settings.register_profile("here", deadline=None, derandomize=True, database=None)
settings.load_profile("here")


def pytest_collection_finish():
    """What is imported by now stays; looking through it again and again is a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch):
    """Folders of own code are appended to the path: another test would import from there."""
    monkeypatch.setattr(sys, "path", list(sys.path))
