"""Filming a group: attempts from one start, side by side, with what each of them got."""

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs import EnvSource, Sync
from grpo_cli.evaluate import Mode
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, Use, reset_seeds, rng
from grpo_cli.rollout import Ints
from grpo_cli.video.files import Frame
from grpo_cli.video.film import DEFAULT_FPS, RENDER_MODE, picture
from grpo_cli.walk import Outcome, walk

# Pixels of the whole picture, and the least of one member's: its caption must be read.
WIDEST, NARROWEST = 1280, 200
CAPTION = 22  # pixels
LAST_S = 1.5  # seconds for which the end is shown
GOOD, BAD, EVEN = (30, 150, 60), (190, 40, 50), (90, 90, 90)


class Together(Sync):
    """Environments that are shown in one picture after every reset and every round of steps.

    Args:
        source: the environment.
        members: how many.
        take: receives the pictures.
        note: stands above each, such as how long the policy has trained.
    """

    name = "together"

    def __init__(
        self, source: EnvSource, members: int, take: Callable[[Frame], None], note: str = ""
    ) -> None:
        super().__init__(lambda: source.make(render_mode=RENDER_MODE), members)
        self._take, self._id, self._note = take, source.id, note
        self._frames: list[Frame] = []
        self.ret, self.length = np.zeros(members), np.zeros(members, dtype=np.int64)

    @property
    def fps(self) -> float:
        """Frames a second at which the environment looks natural."""
        return float(self.envs[0].metadata.get("render_fps") or DEFAULT_FPS)

    def reset(self, seeds: Ints) -> NDArray:
        """Reset and show."""
        obs = super().reset(seeds)
        self._frames = [picture(env, self._id) for env in self.envs]
        self._show()
        return obs

    def step(
        self, ids: Ints, actions: NDArray
    ) -> tuple[NDArray, NDArray, NDArray, NDArray, list[dict[str, Any]]]:
        """Step and show; members that have ended keep their last picture."""
        after = super().step(ids, actions)
        for member, reward in zip(ids.tolist(), after[1], strict=True):
            shape = self._frames[member].shape
            self._frames[member] = picture(self.envs[member], self._id, shape)
            self.ret[member] += reward
            self.length[member] += 1
        self._show()
        return after

    def finish(self) -> None:
        """Show the end for a while, better and worse than the mean in colour."""
        gap = self.ret - self.ret.mean()
        colours = [GOOD if x > 0 else BAD if x < 0 else EVEN for x in gap]
        for _ in range(max(1, round(LAST_S * self.fps))):
            self._show(colours)

    def _show(self, colours: Sequence[tuple[int, int, int]] = ()) -> None:
        lines = [
            f"{self._note}  #{i + 1}  return {ret:.1f}  step {length}".strip()
            for i, (ret, length) in enumerate(zip(self.ret, self.length, strict=True))
        ]
        self._take(tiled(self._frames, lines, colours or [EVEN] * len(lines)))


def tiled(
    frames: Sequence[Frame], lines: Sequence[str], colours: Sequence[tuple[int, int, int]]
) -> Frame:
    """Put pictures of one size side by side, each under a line of text on its colour."""
    from PIL import Image, ImageDraw, ImageFont

    columns = math.ceil(math.sqrt(len(frames)))
    height, width = frames[0].shape[:2]
    scale = min(1.0, WIDEST / (columns * width))
    if width * scale < NARROWEST:
        scale = math.ceil(NARROWEST / width)
    wide, high = round(width * scale), round(height * scale)
    rows = math.ceil(len(frames) / columns)
    sheet = Image.new("RGB", (columns * wide, rows * (high + CAPTION)))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for i, (frame, line, colour) in enumerate(zip(frames, lines, colours, strict=True)):
        left, top = i % columns * wide, i // columns * (high + CAPTION)
        shrinks = Image.Resampling.BILINEAR if scale <= 1 else Image.Resampling.NEAREST
        sheet.paste(Image.fromarray(frame).resize((wide, high), shrinks), (left, top + CAPTION))
        pen.rectangle((left, top, left + wide - 2, top + CAPTION - 1), fill=colour)
        pen.text((left + 5, top + 3), line, fill="white", font=font)
    return np.asarray(sheet)


def play(
    backend: Together, source: EnvSource, policy: Policy, *, seed: int, start: int, mode: Mode
) -> Outcome:
    """Let all members play from one start of the evaluation, and show the end.

    Args:
        backend: shows them.
        source: its environment.
        policy: who acts.
        seed: of the evaluation.
        start: which of its starts, from 0.
        mode: sampled, where the attempts differ, or greedy.

    Raises:
        EnvError: the environment raised.
    """
    members = len(backend.envs)
    address = (seed, Purpose.EVAL, int(Use.FINAL))
    seeds = np.repeat(reset_seeds(rng(*address), start + 1, Use.FINAL)[-1:], members)
    noise = None
    if mode == "sampled":
        generators = [rng(*address, start + 1)]
        noise = ActionNoise(generators, members, policy.family.noise_width)
    with closing(backend):
        outcome = walk(backend, source.codec, policy, seeds, noise)
        backend.finish()
    return outcome
