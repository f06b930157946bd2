"""Drawing without a display: into memory, by what the computer has for that."""

import os
import sys
from ctypes import CDLL

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
# What MuJoCo may draw with, and the library each of them loads.
OPENGL = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}


def draw_in_memory() -> None:
    """Let pygame and MuJoCo draw where there is no display; choices that were made stay.

    Both read this when they are first imported, so it is said before an environment is made.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it would greet on stdout
    if not sys.platform.startswith("linux") or any(os.environ.get(name) for name in DISPLAYS):
        return
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    if "MUJOCO_GL" not in os.environ:
        os.environ["MUJOCO_GL"] = next(filter(has_opengl, OPENGL), "egl")


def has_opengl(name: str) -> bool:
    """Say whether the library is there that MuJoCo draws with as `egl` or `osmesa`."""
    try:
        CDLL(OPENGL[name])
    except OSError:
        return False
    return True
