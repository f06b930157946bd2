"""Uniformly random actions, judged once: what every return is measured from.

    python uniform.py TASK SEED

A return of 0 in the units of a verdict is this one's.
"""

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from judge import Judge, maker


def main() -> None:
    """Judge and print what was seen."""
    words, seed = json.loads(sys.argv[1]), int(sys.argv[2])
    make = maker(words)
    space = make().action_space
    space.seed(seed)

    def act(obs: list[Any], greedy: bool) -> list[NDArray]:
        return [space.sample() for _ in obs]

    judge = Judge(words, make, act)
    judge.look(words["budget"], (0.0, 0.0))
    result = {**judge.result(), "train_wall_s": 0.0, "train_cpu_s": 0.0}
    print(json.dumps({**result, "versions": {"gymnasium": gymnasium.__version__}}))


if __name__ == "__main__":
    main()
