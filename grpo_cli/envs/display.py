"""Drawing without a display: into memory, by what the computer has for that."""

import os
import sys
from ctypes import CDLL

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
# What MuJoCo may draw with, and the library each of them loads.
OPENGL = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
OPENGL_FIX = "apt install libegl1 libgl1-mesa-dri, or libosmesa6 and set MUJOCO_GL=osmesa"


def draw_in_memory() -> None:
    """Let pygame draw where there is no display; a choice that was made stays.

    It reads this when it is first imported, so it is said before an environment is made.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it would greet on stdout
    if _is_headless():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def choose_opengl() -> None:
    """Let MuJoCo draw where there is no display; a choice that was made stays.

    It looks for what it is told here when it is imported, and fails where that is not there; so
    only who wants to see something says it.
    """
    if _is_headless() and "MUJOCO_GL" not in os.environ:
        os.environ["MUJOCO_GL"] = next(filter(_has, OPENGL), "egl")


def _is_headless() -> bool:
    return sys.platform.startswith("linux") and not any(map(os.environ.get, DISPLAYS))


def _has(name: str) -> bool:
    try:
        CDLL(OPENGL[name])
    except OSError:
        return False
    return True
