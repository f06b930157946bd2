"""What every test shares. One thread: the suite runs in several processes, on few cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

from hypothesis import settings

# The same examples on every computer, however slow it is.
settings.register_profile("here", deadline=None, derandomize=True, database=None)
settings.load_profile("here")
