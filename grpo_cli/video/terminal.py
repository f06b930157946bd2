"""Pictures in a terminal: two pixels a character, in 24-bit colour."""

import os
import sys
import time
from typing import TextIO

import numpy as np

from grpo_cli.errors import ConfigError
from grpo_cli.video.files import Frame

FASTEST = 20.0  # pictures a second; more is not seen, and floods a slow connection
HOME, CLEAR, HIDE, SHOW, PLAIN = "\x1b[H", "\x1b[2J", "\x1b[?25l", "\x1b[?25h", "\x1b[0m"


class Screen:
    """Shows frames as they come, at the speed they were meant for.

    Args:
        stream: the terminal.

    Raises:
        ConfigError: it is none that can draw.
    """

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        if not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
            raise ConfigError(
                "out=terminal needs a terminal that can draw", "write out=play.mp4 or out=play.gif"
            )
        self._stream = stream
        self._fps = FASTEST
        self._due = self._shown = 0.0
        self._stream.write(CLEAR + HIDE)

    def at(self, fps: float) -> None:
        """Set frames a second of what comes."""
        self._fps = fps

    def take(self, frame: Frame) -> None:
        """Show a frame when it is due, unless the one before has only just been shown."""
        now = time.monotonic()
        self._due = max(self._due + 1 / self._fps, now)
        if self._due - self._shown < 1 / FASTEST:
            return
        time.sleep(self._due - now)
        self._shown = time.monotonic()
        size = os.get_terminal_size(self._stream.fileno())
        self._stream.write(HOME + as_text(frame, size.columns, size.lines - 1))
        self._stream.flush()

    def close(self) -> None:
        """Give the cursor back."""
        self._stream.write(PLAIN + SHOW + "\n")
        self._stream.flush()


def as_text(frame: Frame, columns: int, rows: int) -> str:
    """Return a picture [H, W, 3] as at most so many columns and rows of half blocks."""
    from PIL import Image

    height, width = frame.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    wide, high = max(1, int(width * scale)), max(2, int(height * scale) // 2 * 2)
    small = np.asarray(Image.fromarray(frame).resize((wide, high), Image.Resampling.BOX))
    lines = []
    for upper, lower in zip(small[::2].tolist(), small[1::2].tolist(), strict=True):
        cells = []
        before = None
        for top, bottom in zip(upper, lower, strict=True):
            pair = (*top, *bottom)
            if pair != before:
                cells.append("\x1b[38;2;{};{};{};48;2;{};{};{}m".format(*pair))
            before = pair
            cells.append("▀")
        lines.append("".join(cells) + PLAIN)
    return "\n".join(lines)
