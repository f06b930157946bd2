"""Pictures of the dashboard in this folder, from real terminals: tmux, then Rich's SVG.

    python docs/img/capture.py [grpo train words ...]

Trains once in a terminal, watches that run from terminals of other sizes, and keeps the screens as
they stood before the end.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
TRAIN = (100, 28)
WATCH = ((80, 24), (120, 40), (200, 60))
WORDS = ["env=LunarLander-v3", "total_steps=300000"]
# Percent of the budget from which the run is watched, and up to which screens are kept.
FROM, UNTIL = 50, 92


def tmux(*words: str) -> str:
    """Run one tmux command and return what it printed."""
    return subprocess.run(["tmux", *words], check=True, capture_output=True, text=True).stdout


def start(size: tuple[int, int], folder: str, *words: str) -> str:
    """Run grpo in a new terminal of this size; returns the terminal's name."""
    name = f"grpo-{size[0]}x{size[1]}"
    command = " ".join([sys.executable, "-m", "grpo_cli", *words])
    shape = ("-x", str(size[0]), "-y", str(size[1]))
    tmux("new-session", "-d", "-s", name, *shape, "-c", folder, command + "; sleep 900")
    return name


def screens(words: list[str]) -> dict[tuple[int, int], str]:
    """Train and watch; returns the last screens before the end by size, in colour."""
    kept: dict[tuple[int, int], str] = {}
    with tempfile.TemporaryDirectory() as folder:
        shown = {TRAIN: start(TRAIN, folder, "train", *words)}
        try:
            while "trained" not in (seen := tmux("capture-pane", "-p", "-t", shown[TRAIN])):
                share = re.search(r"(\d+) %  .*left", seen)
                if share and int(share[1]) >= FROM and len(shown) == 1:
                    shown |= {size: start(size, folder, "watch", "last") for size in WATCH}
                if share and int(share[1]) <= UNTIL:
                    kept |= {
                        size: tmux("capture-pane", "-p", "-e", "-t", name)
                        for size, name in shown.items()
                    }
                time.sleep(0.3)
            return kept
        finally:
            for name in shown.values():
                tmux("kill-session", "-t", name)


def main() -> None:
    """Keep one picture of each size."""
    words = sys.argv[1:] or WORDS
    for (width, height), screen in screens(words).items():
        text = Text.from_ansi(screen.rstrip("\n"))
        with open("/dev/null", "w") as nowhere:
            console = Console(record=True, width=width, height=height, file=nowhere)
            console.print(text, no_wrap=True, crop=False)
        trained = (width, height) == TRAIN
        name = "train" if trained else f"watch-{width}x{height}"
        title = " ".join(["grpo train", *words]) if trained else "grpo watch last"
        console.save_svg(str(HERE / f"{name}.svg"), title=title)


if __name__ == "__main__":
    main()
