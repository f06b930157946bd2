"""Who takes part, and the Python environment that each of them runs in."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tasks import Task

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".venvs"  # made by the first run, not committed


@dataclass(frozen=True)
class Side:
    """One who takes part.

    Attributes:
        name: in files and tables.
        label: what a reader sees.
        file: the script in this folder.
        words: for the script.
        requires: packages of an environment of its own; nothing: it runs in this one.
        only: names of the tasks that it takes; nothing: all.
    """

    name: str
    label: str
    file: str
    words: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    @property
    def script(self) -> Path:
        """What is run."""
        return HERE / self.file

    def takes(self, task: Task) -> bool:
        """Say whether it takes part in a task."""
        return not self.only or task.name in self.only


GYMNASIUM = ("gymnasium[box2d,mujoco,toy-text]==1.4.0", "minigrid==3.2.0", "torch==2.13.0")
SB3 = ("stable-baselines3==2.9.2", "sb3-contrib==2.9.2", *GYMNASIUM)
PEER_ONLY = ("advantage=time_aligned",)
LINEAR = ("advantage=linear",)
IN_ZOO = (  # with at most a million steps
    "CartPole-v1", "Acrobot-v1", "Pendulum-v1", "LunarLander-v3", "MountainCarContinuous-v0",
    "LunarLander-v3-continuous", "MountainCar-v0", "Hopper-v5", "HalfCheetah-v5",
)  # fmt: skip
SIDES = [
    Side("peer", "grpo, peer-only", "ours.py", PEER_ONLY),
    Side("linear", "grpo, peer + linear", "ours.py", LINEAR),
    Side("sb3-ppo", "SB3 PPO, rl-zoo3's values", "sb3.py", ("ppo",), SB3),
    Side("sb3-ars", "SB3-contrib ARS, rl-zoo3's values", "sb3.py", ("ars",), SB3, IN_ZOO),
]


def interpreter(side: Side) -> str:
    """Return the Python of a side's environment, which is made if it is missing."""
    if not side.requires:
        return sys.executable
    home = ENVIRONMENTS / side.file.removesuffix(".py")
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *side.requires], check=True)
        (home / "ready").touch()
    return str(python)
