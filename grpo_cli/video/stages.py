"""Filming a training: an episode now and then, and all of them in one film at the end."""

import logging
import subprocess
from pathlib import Path

from grpo_cli.envs import EnvSource
from grpo_cli.errors import GrpoError
from grpo_cli.manifest import step_of
from grpo_cli.policies import Policy
from grpo_cli.sinks import Metrics
from grpo_cli.video.files import plan
from grpo_cli.video.film import film
from grpo_cli.video.group import Together, play
from grpo_cli.video.pictures import Board, show

log = logging.getLogger(__name__)

FOLDER, WHOLE = "videos", "timelapse.mp4"


class Stages:
    """A sink that films one greedy episode at the first update after each multiple of `every`.

    Always the same start, so that the films differ by what has been learned.

    Args:
        folder: the run's; films go to `videos/step-000012000.mp4`.
        source: the environment; `video.check_renders` has seen it.
        policy: learns meanwhile.
        every: env steps.
        seed: of the run.
        steps: env steps at which this process begins.
        board: shows the episodes as pictures, where there is one.
    """

    def __init__(
        self,
        folder: Path,
        source: EnvSource,
        policy: Policy,
        *,
        every: int,
        seed: int,
        steps: int = 0,
        board: Board | None = None,
    ) -> None:
        self._folder = folder / FOLDER
        self._source, self._policy, self._every, self._seed = source, policy, every, seed
        self._steps, self._board = steps, board
        self._works = True

    def write(self, step: int, metrics: Metrics) -> None:
        """Film if it is time; what cannot be filmed costs the film, not the run."""
        before, self._steps = self._steps, step
        if not self._works or step // self._every == before // self._every:
            return
        try:
            self._folder.mkdir(exist_ok=True)
            path = plan(str(self._folder / f"step-{step:09d}.mp4"))
            frames: list = []
            stage = Together(self._source, 1, frames.append, note=f"{step:,} steps")
            fps = stage.fps
            play(stage, self._source, self._policy, seed=self._seed, start=0, mode="greedy")
            with film(path, fps) as take:
                for frame in frames:
                    take(frame)
            if self._board is not None:
                show(self._board, step, frames, fps)
        except (GrpoError, OSError) as error:
            self._works = False
            log.warning("%s; training goes on without films", error)

    def close(self) -> None:
        """Join the films."""
        try:
            timelapse(self._folder)
        except (OSError, subprocess.CalledProcessError) as error:
            log.warning("the films of %s could not be joined: %s", self._folder, error)


def timelapse(folder: Path) -> Path | None:
    """Join the films of a training in the order of their steps, without encoding them again.

    Returns:
        The film, or None where there are fewer than two.

    Raises:
        OSError, CalledProcessError: it could not be made.
    """
    films = sorted(folder.glob("step-*.mp4"), key=step_of)
    if len(films) < 2:
        return None
    import imageio_ffmpeg

    whole, listed = folder / WHOLE, folder / ".films.txt"
    listed.write_text("".join(f"file {path.name}\n" for path in films))
    fresh = folder / f".partial.{WHOLE}"
    try:
        # The list holds names of this folder only, and ffmpeg is the one that wrote them.
        subprocess.run(  # noqa: S603
            [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "concat", "-i",
             listed.name, "-c", "copy", "-movflags", "+faststart", fresh.name],
            cwd=folder, check=True, capture_output=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        fresh.replace(whole)
    finally:
        listed.unlink(missing_ok=True)
        fresh.unlink(missing_ok=True)
    return whole
