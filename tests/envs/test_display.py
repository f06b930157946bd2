"""What is told to pygame and MuJoCo about drawing, and to whom it is not told."""

import os
import sys

import pytest

from grpo_cli.envs import display

NAMES = {"SDL_VIDEODRIVER", "MUJOCO_GL"}


@pytest.fixture(autouse=True)
def headless(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(sys, "platform", "linux")
    for name in (*NAMES, *display.DISPLAYS):
        os.environ.pop(name, None)


def told():
    display.draw_in_memory()
    display.choose_opengl()
    return {name: os.environ[name] for name in NAMES & set(os.environ)}


def test_a_display_is_left_alone():
    os.environ["DISPLAY"] = ":0"
    assert told() == {}


def test_a_choice_that_was_made_stays():
    os.environ["SDL_VIDEODRIVER"], os.environ["MUJOCO_GL"] = "x11", "osmesa"
    assert told() == {"SDL_VIDEODRIVER": "x11", "MUJOCO_GL": "osmesa"}


@pytest.mark.parametrize(
    ("libraries", "chosen"), [("egl osmesa", "egl"), ("osmesa", "osmesa"), ("", "egl")]
)
def test_mujoco_draws_with_the_library_that_is_there(monkeypatch, libraries, chosen):
    """With none it is told EGL all the same: the error then names what to install."""

    def load(name):
        if name not in [display.OPENGL[library] for library in libraries.split()]:
            raise OSError(name)

    monkeypatch.setattr(display, "CDLL", load)
    assert told() == {"SDL_VIDEODRIVER": "dummy", "MUJOCO_GL": chosen}
