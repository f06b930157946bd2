"""Who takes part, and the Python environment that each of them runs in."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tasks import TASKS, Task

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
        alone: further ones, installed without what they ask for, whatever Python they ask for.
        only: names of the tasks that it takes; nothing: all.
        why: it takes no others.
        seeds: at most that many.
        first_seed: ours begin where no seed had a part in choosing our settings.
    """

    name: str
    label: str
    file: str
    words: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    why: str = ""
    seeds: int = 10
    first_seed: int = 0

    @property
    def script(self) -> Path:
        """What is run."""
        return HERE / self.file

    def takes(self, task: Task) -> bool:
        """Say whether it takes part in a task."""
        return not self.only or task.name in self.only


GYMNASIUM = ("gymnasium[box2d,mujoco,toy-text]==1.4.0", "minigrid==3.2.0", "torch==2.13.0")
SB3 = ("stable-baselines3==2.9.2", "sb3-contrib==2.9.2", *GYMNASIUM)
PEER_ONLY = ("advantage.adjust=none",)
LINEAR = ("advantage=linear",)
UNSEEN = 1_000
IN_ZOO = (  # with at most a million steps
    "CartPole-v1", "Acrobot-v1", "Pendulum-v1", "LunarLander-v3", "MountainCarContinuous-v0",
    "LunarLanderContinuous-v3", "MountainCar-v0", "Hopper-v5", "HalfCheetah-v5",
)  # fmt: skip
FACTORY = (
    *GYMNASIUM, "numpy==1.26.4", "colorlog==6.12.0", "filelock", "huggingface-hub==0.36.2",
    "opencv-python-headless==4.11.0.86", "psutil", "signal-slot-mp==1.0.5", "tensorboard==2.21.0",
    "tensorboardx==2.6.5", "threadpoolctl",
)  # fmt: skip
IN_EXAMPLES = ("CartPole-v1", "Hopper-v5", "HalfCheetah-v5")
BOXES = tuple(task.name for task in TASKS if task.name not in ("FrozenLake-v1", "Taxi-v4"))
DISCRETE = ("CartPole-v1", "Acrobot-v1", "LunarLander-v3")
TEXTBOOK = ("preset=textbook",)
CANDIDATES = ("preset=sb3_contrib",)
LOOKAHEAD = HERE.parents[1] / "lookahead.py"  # has document 001's reward function
ALL_ACTIONS = ("preset=sb3_grpo", f"reward={LOOKAHEAD}:cartpole_reward_fn")
SIDES = [
    Side("peer", "grpo, peer-only", "ours.py", PEER_ONLY, first_seed=UNSEEN),
    Side(
        "linear", "grpo, peer + linear", "ours.py", LINEAR, first_seed=UNSEEN,
        only=BOXES, why="only where observations are a Box: the adjustment reads numbers.",
    ),
    Side("random", "uniformly random", "uniform.py", seeds=1),
    Side("sb3-ppo", "SB3 PPO, rl-zoo3's values", "sb3.py", ("ppo",), SB3),
    Side(
        "sb3-ppo-normalised", "SB3 PPO, rl-zoo3's values, its `normalize` too", "sb3.py",
        ("ppo", "normalize"), SB3, only=("MiniGrid-DoorKey-5x5-v0",),
        why="only where sb3-ppo leaves `normalize` out, as nothing is learned with it.", seeds=5,
    ),
    Side(
        "cleanrl-ppo", "CleanRL PPO, its own values", "clean_ppo.py",
        requires=(*GYMNASIUM, "tensorboard==2.21.0"), alone=("cleanrl==1.2.0",),
        only=BOXES, why="only where observations are a Box: its scripts read no others.",
    ),
    Side(
        "sample-factory", "Sample Factory APPO, its examples' values", "factory.py",
        requires=FACTORY, alone=("sample-factory==2.1.1",), only=IN_EXAMPLES,
        why="only where its examples have values; theirs for v4 of MuJoCo are those of v5 here.",
    ),
    Side(
        "sb3-ars", "SB3-contrib ARS, rl-zoo3's values", "sb3.py", ("ars",), SB3, only=IN_ZOO,
        why="only where rl-zoo3 has values and at most 1,000,000 steps are planned.",
    ),
    Side(
        "document-000", "document 000's system, run by this project", "ours.py", CANDIDATES,
        only=DISCRETE, why="only on two classics and LunarLander: it has discrete actions.",
        seeds=5,
    ),
    Side(
        "document-001", "document 001's system, run by this project", "ours.py", ALL_ACTIONS,
        only=("CartPole-v1",), why="only where the document has the reward function that it needs.",
        seeds=5,
    ),
    Side(
        "document-004", "document 004's system, run by this project", "ours.py", TEXTBOOK,
        only=(*DISCRETE, "MountainCar-v0"),
        why="only where actions are discrete and observations a Box, as in its script.", seeds=5,
    ),
]  # fmt: skip
ABSENT = {
    "sb3-grpo's own package": "not in the registry, and what its repository installs is empty "
    "(`find_packages()`, while `grpo.py` lies beside `setup.py`). Its code gives all actions of a "
    "state one next state, of which the document's reward alone depends.",
    "sb3-contrib's GRPO": "a pull request (272), in no release.",
}
"""Who was asked for and is not there, and why."""


def planned(task: Task, side: Side) -> range:
    """Return the seeds that a side runs on a task that it takes."""
    return range(side.first_seed, side.first_seed + min(task.seeds, side.seeds))


def interpreter(side: Side) -> str:
    """Return the Python of a side's environment, which is made if it is missing."""
    if not side.requires:
        return sys.executable
    home = ENVIRONMENTS / side.file.removesuffix(".py")
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        install = [python, "-m", "pip", "install", "-q"]
        subprocess.run([*install, *side.requires], check=True)
        if side.alone:
            bare = ["--no-deps", "--ignore-requires-python"]
            subprocess.run([*install, *bare, *side.alone], check=True)
        (home / "ready").touch()
    return str(python)
