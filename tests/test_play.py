"""Groups on film, in the terminal, and the films of a training."""

import io
import os
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from builders import cartpole, make_cartpole_policy
from PIL import Image
from small_runs import own_place, train
from typer.testing import CliRunner

from grpo_cli import video
from grpo_cli.cli import app
from grpo_cli.errors import ConfigError
from grpo_cli.video.group import BAD, CAPTION, GOOD, tiled
from grpo_cli.video.terminal import as_text


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    yield from own_place(tmp_path, monkeypatch)


def frames_of(path):
    found, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    return found


def test_a_group_starts_together_and_ends_in_colour():
    source, frames = cartpole(), []
    together = video.Together(source, 3, frames.append)
    outcome = video.play(
        together, source, make_cartpole_policy(source), seed=0, start=2, mode="sampled"
    )
    first, last = frames[0], frames[-1]
    height, width = 400, 600
    parts = [first[CAPTION : CAPTION + height, :width], first[CAPTION : CAPTION + height, width:]]
    np.testing.assert_array_equal(*parts)  # the same start
    assert len(set(outcome.length.tolist())) > 1  # and other actions
    colours = [tuple(last[2, width * i + width - 4]) for i in (0, 1)]
    colours.append(tuple(last[2 + height + CAPTION, width - 4]))
    worth = outcome.ret - outcome.ret.mean()
    assert colours == [GOOD if w > 0 else BAD for w in worth]
    # every round of steps once, then the end for a while
    assert len(frames) == 1 + outcome.length.max() + round(1.5 * together.fps)


def test_pictures_are_put_side_by_side():
    small = [np.full((10, 20, 3), 10 * i, np.uint8) for i in range(3)]
    sheet = tiled(small, ["a", "b", "c"], [GOOD] * 3)
    assert sheet.shape == (2 * (100 + CAPTION), 400, 3)  # enlarged until a caption can be read
    assert sheet[CAPTION + 5, 5, 0] == 0
    assert sheet[CAPTION + 5, 205, 0] == 10
    assert sheet[2 * CAPTION + 105, 5, 0] == 20
    wide = tiled([np.zeros((100, 2000, 3), np.uint8)], ["a"], [GOOD])
    assert wide.shape == (64 + CAPTION, 1280, 3)


def test_pictures_in_a_terminal_keep_their_shape():
    frame = np.zeros((40, 80, 3), np.uint8)
    frame[:20] = (255, 0, 0)
    lines = as_text(frame, columns=20, rows=30).split("\n")
    assert len(lines) == 5
    assert all(line.count("▀") == 20 for line in lines)
    assert "38;2;255;0;0;48;2;255;0;0m" in lines[0]
    assert "38;2;0;0;0;48;2;0;0;0m" in lines[-1]
    with pytest.raises(ConfigError, match="needs a terminal"):
        video.Screen(io.StringIO())


@pytest.mark.slow
def test_play_from_the_command_line(place):
    train("env=CartPole-v1")
    words = ["play", "ckpt=last", "out=group.gif", "members=2", "--json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert Path("group.gif").read_bytes().startswith(b"GIF8")
    assert CliRunner().invoke(app, ["play", "ckpt=last", "out=a.txt"]).exit_code == 2
    assert CliRunner().invoke(app, ["play", "ckpt=last"]).exit_code == 2  # no terminal


def test_films_of_a_training_are_joined_and_reported(place):
    run = Path(train("env=CartPole-v1", "total_steps=600", "video_every=200")["run"])
    films = sorted(run.glob("videos/step-*.mp4"))
    assert len(films) >= 2
    whole = run / "videos/timelapse.mp4"
    assert frames_of(whole) == sum(map(frames_of, films))
    assert "data:video/mp4;base64," in (run / "report.html").read_text()
    assert not [path for path in run.glob("videos/*") if "partial" in path.name]

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run))
    events.Reload()
    for tag, kind in (("eval/film", "GIF"), ("eval/trajectory", "PNG")):
        shown = events.Images(tag)
        assert [one.step for one in shown] == [int(path.stem[5:]) for path in films]
        picture = Image.open(io.BytesIO(shown[0].encoded_image_string))
        assert (picture.format, picture.size) == (kind, (shown[0].width, shown[0].height))
        assert getattr(picture, "n_frames", 1) > 1 or kind == "PNG"


def test_an_environment_that_does_not_draw_is_refused_at_the_start(place):
    with pytest.raises(ConfigError, match="cannot be filmed"):
        train("env=./my_env.py:Guess", "env.max_steps=3", "video_every=100")


def test_films_cost_no_run(place, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("grpo_cli.video.stages.plan", full)
    assert train("env=CartPole-v1", "video_every=100")["env_steps"] >= 300
    assert caplog.text.count("goes on without films") == 1
