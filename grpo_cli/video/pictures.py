"""A film for TensorBoard: a GIF that moves in its Images tab, and its course as one picture."""

import io
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from grpo_cli.video.files import SHORTEST_MS, Frame

# An event file keeps every picture of a run: small ones.
MOST_FRAMES, FILM_WIDTH = 60, 320
STRIP, STRIP_WIDTH = 8, 200


class Board(Protocol):
    """Who shows pictures: `sinks.TensorBoard`."""

    def image(self, step: int, tag: str, encoded: bytes, size: tuple[int, int]) -> None:
        """Show a PNG or GIF of this width and height, pixels."""
        ...


def show(board: Board, step: int, frames: Sequence[Frame], fps: float) -> None:
    """Show an episode, as `eval/film` and `eval/trajectory`.

    Args:
        board: shows them.
        step: env steps.
        frames: [H, W, 3] each.
        fps: frames a second.
    """
    board.image(step, "eval/film", *moving(frames, fps))
    board.image(step, "eval/trajectory", *strip(frames))


def moving(frames: Sequence[Frame], fps: float) -> tuple[bytes, tuple[int, int]]:
    """Return an endless GIF, of few frames but as long as the film, and its size in pixels."""
    picked = _spread(frames, MOST_FRAMES)
    duration = max(SHORTEST_MS, round(1000 * len(frames) / fps / len(picked)))
    first, *rest = (_small(frame, FILM_WIDTH).quantize() for frame in picked)
    kept = io.BytesIO()
    first.save(kept, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)
    return kept.getvalue(), first.size


def strip(frames: Sequence[Frame]) -> tuple[bytes, tuple[int, int]]:
    """Return a PNG of an episode, from its start on the left to its end, and its size in pixels."""
    from PIL import Image

    pictures = [_small(frame, STRIP_WIDTH) for frame in _spread(frames, STRIP)]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * len(pictures), height))
    for place, one in enumerate(pictures):
        sheet.paste(one, (place * width, 0))
    kept = io.BytesIO()
    sheet.save(kept, "PNG", optimize=True)
    return kept.getvalue(), sheet.size


def _spread(frames: Sequence[Frame], most: int) -> list[Frame]:
    """Pick at most so many frames, evenly, the first and the last among them."""
    places = np.linspace(0, len(frames) - 1, min(most, len(frames)))
    return [frames[place] for place in places.round().astype(int).tolist()]


def _small(frame: Frame, width: int):  # noqa: ANN202 - Pillow's Image
    from PIL import Image

    picture = Image.fromarray(frame)
    picture.thumbnail((width, 10 * width))
    return picture
