"""Takes the pictures of the dashboard in these docs from a real terminal (tmux).

    python docs/img/capture.py [words for grpo train]

Trains once in a terminal of each size and keeps the screen as it stood at about 95 percent of the
budget.
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
SIZES = {"train": (100, 28), "dashboard-80x24": (80, 24), "dashboard-160x50": (160, 50)}
WORDS = ["env=LunarLander-v3", "total_steps=300000"]


def tmux(*words: str) -> str:
    """Run one tmux command and return what it printed."""
    return subprocess.run(["tmux", *words], check=True, capture_output=True, text=True).stdout


def screen(words: list[str], width: int, height: int) -> str:
    """Train in a terminal of this size; returns the last screen before the end, in colour."""
    command = " ".join([sys.executable, "-m", "grpo_cli", "train", *words])
    with tempfile.TemporaryDirectory() as folder:
        size = ("-x", str(width), "-y", str(height))
        tmux("new-session", "-d", "-s", "grpo", *size, "-c", folder, command + "; sleep 60")
        try:
            kept = ""
            while "trained" not in (seen := tmux("capture-pane", "-p", "-t", "grpo")):
                share = re.search(r"(\d+) %  .*left", seen)
                if share and int(share[1]) <= 95:
                    kept = tmux("capture-pane", "-p", "-e", "-t", "grpo")
                time.sleep(0.3)
            return kept
        finally:
            tmux("kill-session", "-t", "grpo")


def main() -> None:
    """Keep one picture of each size."""
    words = sys.argv[1:] or WORDS
    for name, (width, height) in SIZES.items():
        text = Text.from_ansi(screen(words, width, height).rstrip("\n"))
        with open("/dev/null", "w") as nowhere:
            console = Console(record=True, width=width, height=height, file=nowhere)
            console.print(text, no_wrap=True, crop=False)
        console.save_svg(str(HERE / f"{name}.svg"), title=" ".join(["grpo train", *words]))


if __name__ == "__main__":
    main()
