"""Film files: which can be written, where, and with what; an MP4 or a GIF, frame by frame."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from grpo_cli.envs.display import choose_opengl
from grpo_cli.errors import ConfigError, MissingPackage

SHORTEST_MS = 20  # browsers show GIF frames below this for a tenth of a second
INSTALL = "pip install 'grpo-cli[video]'"

Frame = NDArray[np.uint8]  # [H, W, 3]; red, green, blue


class Writer(Protocol):
    """Takes the frames of one film, one after the other."""

    def add(self, frame: Frame) -> None:
        """Take the next frame; all have the size of the first."""
        ...

    def finish(self) -> None:
        """Write what is left. Raises OSError when the file is not whole."""
        ...

    def close(self) -> None:
        """Let go of processes and memory, finished or not."""
        ...


class Mp4:
    """H.264 through imageio-ffmpeg, encoded while the episodes are played.

    Args:
        path: the file.
        fps: frames a second.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._pipe: Any = None  # a generator that is sent frames
        self._count = 0

    def add(self, frame: Frame) -> None:
        """Encode a frame; an odd width or height grows by one black line, as yuv420p demands."""
        import imageio_ffmpeg

        height, width = frame.shape[:2]
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)))
        if self._pipe is None:
            self._pipe = imageio_ffmpeg.write_frames(
                str(self._path),
                size=(frame.shape[1], frame.shape[0]),
                fps=self._fps,  # type: ignore[arg-type] - floats are fine, only the default is int
                pix_fmt_out="yuv420p",
                macro_block_size=1,  # padded above; larger blocks would stretch the picture
                ffmpeg_log_level="quiet",
                output_params=["-movflags", "+faststart"],  # a browser plays while it loads
            )
            self._pipe.send(None)
        self._pipe.send(frame)
        self._count += 1

    def finish(self) -> None:
        """Close the file and count its frames: ffmpeg ends without a word on a full disk."""
        import imageio_ffmpeg

        self.close()
        try:
            count, _ = imageio_ffmpeg.count_frames_and_secs(str(self._path))
        except RuntimeError as error:
            raise OSError("ffmpeg left no readable film") from error
        if count != self._count:
            raise OSError(f"ffmpeg wrote {count} of {self._count} frames")

    def close(self) -> None:
        """End ffmpeg."""
        if self._pipe is not None:
            self._pipe.close()


class Gif:
    """An endless GIF through Pillow, which holds all frames (a byte a pixel) until the end.

    Equal frames that follow each other become one that is shown longer.

    Args:
        path: the file.
        fps: frames a second; more than 50 are shown as 50.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._duration = path, max(SHORTEST_MS, round(1000 / fps))
        self._pictures: list[Any] = []

    def add(self, frame: Frame) -> None:
        """Keep a frame in 256 colours of its own."""
        from PIL import Image

        self._pictures.append(Image.fromarray(frame).quantize())

    def finish(self) -> None:
        """Write the file."""
        first, *rest = self._pictures
        first.save(
            self._path, save_all=True, append_images=rest, duration=self._duration, loop=0
        )  # fmt: skip

    def close(self) -> None:
        """Forget the frames."""
        self._pictures.clear()


WRITERS: dict[str, Callable[[Path, float], Writer]] = {".mp4": Mp4, ".gif": Gif}


def plan(video: str) -> Path:
    """Check where a film shall go, and get ready to draw; before any environment is made.

    Args:
        video: the file asked for.

    Returns:
        The file that will be written: a GIF, with a warning, where an MP4 cannot be made.

    Raises:
        ConfigError: neither .mp4 nor .gif, or no file can be written there.
        MissingPackage: nothing that can write it is installed.
    """
    path = Path(video).expanduser()
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise ConfigError(
            f"video must end in .mp4 or .gif, got {video}", "write video=out.mp4 or video=out.gif"
        )
    if suffix == ".mp4" and not _has_ffmpeg():
        asked, path = path, path.with_suffix(".gif")
        _need_pillow(asked)
        warnings.warn(f"imageio-ffmpeg is missing, so it will be {path} ({INSTALL})", stacklevel=2)
    elif suffix == ".gif":
        _need_pillow(path)
    _check_place(path)
    choose_opengl()
    return path


def _has_ffmpeg() -> bool:
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):  # RuntimeError: installed without its program
        return False
    return True


def _need_pillow(path: Path) -> None:
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise MissingPackage(f"{path} needs a package that is not installed", INSTALL) from error


def _check_place(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder} for {path.name}", f"mkdir -p {folder}")
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", "give the video another name")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{path} cannot be written: {folder} is not yours to write to",
            "give the video another folder",
        )
