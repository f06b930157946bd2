import json
import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import pytest
from builders import cartpole, make_cartpole_policy
from gymnasium import spaces
from PIL import Image
from typer.testing import CliRunner

from grpo_cli import video
from grpo_cli.cli import app
from grpo_cli.cli.closing import show_evaluation
from grpo_cli.envs import open_env
from grpo_cli.errors import ConfigError, EnvError, GrpoError, MissingPackage
from grpo_cli.evaluate import Evaluator
from grpo_cli.randomness import Use

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _environment_of_its_own(monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())


def decode(path):
    """What ffmpeg says about an MP4, and its frames [F, H, W, 3]."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), *raw]
    done = subprocess.run(command, capture_output=True, check=True)
    said = next(line for line in done.stderr.decode().splitlines() if "Video: h264" in line)
    width, height = map(int, re.search(r", (\d+)x(\d+)", said).groups())
    return said, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def expected_frame(source, seed):
    env = source.make(render_mode="rgb_array")
    env.reset(seed=seed)
    frame = env.render()
    env.close()
    return frame


class Square(gym.Env):
    """Three steps long; draws `picture` brightened by the step, so that no two frames are equal."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    picture: object = np.full((33, 47, 3), 60, np.uint8)
    later: object = None  # drawn from step 2 on

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.count += 1
        return np.zeros(2, np.float32), 1.0, self.count == 3, False, {}

    def render(self):
        if self.count >= 2 and self.later is not None:
            if isinstance(self.later, Exception):
                raise self.later
            return self.later
        if not isinstance(self.picture, np.ndarray):
            return self.picture
        return self.picture + np.array(50 * self.count, self.picture.dtype)


def square(**changes):
    source = open_env("Square", max_steps=9, own_class=type("Square", (Square,), changes))
    return source, make_cartpole_policy(source)


@pytest.mark.parametrize("mode", ["greedy", "sampled"])
def test_the_film_shows_the_first_evaluation_episodes(tmp_path, mode):
    source = cartpole()
    policy = make_cartpole_policy(source)
    path = tmp_path / "out.mp4"
    length = video.record(path, source, policy, seed=4, mode=mode, episodes=2)
    scores = Evaluator(source, 4, Use.FINAL).scores(policy, 5, mode)[mode]
    assert length.tolist() == scores.length[:2].tolist()
    said, frames = decode(path)
    assert frames.shape == (length.sum() + 2, 400, 600, 3)
    assert "yuv420p" in said
    assert " 50 fps" in said
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_the_first_frame_is_the_first_start(tmp_path):
    from grpo_cli.randomness import Purpose, reset_seeds, rng

    source = cartpole()
    path = tmp_path / "out.mp4"
    video.record(path, source, make_cartpole_policy(source), seed=1, mode="greedy", episodes=1)
    seeds = reset_seeds(rng(1, Purpose.EVAL, int(Use.FINAL)), 1, Use.FINAL)
    off = np.abs(decode(path)[1][0].astype(int) - expected_frame(source, int(seeds[0])))
    assert off.mean() < 2  # of 255; H.264 is lossy


def test_a_gif_of_the_same_episode(tmp_path):
    source = cartpole()
    path = tmp_path / "out.gif"
    policy = make_cartpole_policy(source)
    (steps,) = video.record(path, source, policy, seed=4, mode="greedy", episodes=1)
    with Image.open(path) as picture:
        shown = []
        for number in range(picture.n_frames):
            picture.seek(number)
            shown.append(picture.info["duration"])
        assert picture.size == (600, 400)
        # Equal neighbours are one frame shown longer; CartPole draws at 50 frames a second.
        assert sum(shown) == 20 * (steps + 1)
        assert picture.n_frames > 1
    assert os.listdir(tmp_path) == ["out.gif"]


def test_odd_sizes_grow_by_a_black_line(tmp_path):
    source, policy = square()
    video.check_renders(source)
    path = tmp_path / "out.MP4"
    video.record(path, source, policy, seed=0, mode="greedy", episodes=2)
    said, frames = decode(path)
    assert frames.shape == (8, 34, 48, 3)
    assert " 10 fps" in said
    middles = frames[:, 10, 10].mean(axis=-1)
    assert middles == pytest.approx(np.array([60, 110, 160, 210] * 2), abs=6)
    assert frames[:, -1].mean() < 20


@pytest.mark.parametrize("name", ["out.avi", "out", "outmp4"])
def test_other_suffixes_are_refused(name):
    with pytest.raises(ConfigError, match=r"\.mp4 or \.gif"):
        video.plan(name)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no folder"):
        video.plan(str(tmp_path / "there" / "out.mp4"))
    assert os.listdir(tmp_path) == []


def test_a_folder_of_that_name_is_refused(tmp_path):
    (tmp_path / "out.gif").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        video.plan(str(tmp_path / "out.gif"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(ConfigError, match="not yours"):
        video.plan(str(tmp_path / "out.mp4"))


def test_without_ffmpeg_it_becomes_a_gif(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.warns(UserWarning, match=r"out\.gif \(pip install 'grpo-cli\[video\]'\)"):
        path = video.plan(str(tmp_path / "out.mp4"))
    assert path == tmp_path / "out.gif"
    source, policy = square()
    video.record(path, source, policy, seed=0, mode="greedy", episodes=1)
    with Image.open(path) as picture:
        assert (picture.n_frames, picture.size) == (4, (47, 33))


def test_without_the_program_inside_the_package_too(tmp_path, monkeypatch):
    def gone():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", gone)
    with pytest.warns(UserWarning, match="imageio-ffmpeg"):
        assert video.plan(str(tmp_path / "out.mp4")).suffix == ".gif"


@pytest.mark.parametrize(("name", "hidden"), [("a.mp4", ("imageio_ffmpeg", "PIL")), ("a.gif", "P")])
def test_without_any_package_it_says_what_to_install(tmp_path, monkeypatch, name, hidden):
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    if "imageio_ffmpeg" in hidden:
        monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingPackage) as caught:
        video.plan(str(tmp_path / name))
    assert "pip install 'grpo-cli[video]'" in caught.value.fix


def test_an_environment_that_does_not_render_is_refused():
    source, _ = square(metadata={"render_modes": ["human", "ansi"]})
    with pytest.raises(ConfigError, match=r"rgb_array \(its render_modes: human, ansi\)"):
        video.check_renders(source)


@pytest.mark.parametrize("picture", [None, [1], np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_what_is_no_picture_is_refused(picture):
    source, _ = square(picture=picture)
    with pytest.raises(ConfigError, match="not a picture"):
        video.check_renders(source)


def test_a_missing_package_of_the_environment_is_named():
    def render(self):
        raise gym.error.DependencyNotInstalled("pip install pygame")

    source, _ = square(render=render)
    with pytest.raises(MissingPackage) as caught:
        video.check_renders(source)
    assert caught.value.fix == "pip install pygame"


@pytest.mark.parametrize("name", ["out.mp4", "out.gif"])
@pytest.mark.parametrize("later", [ValueError("lost"), np.zeros((8, 8, 3), np.uint8)])
def test_nothing_is_left_behind_when_rendering_fails(tmp_path, name, later):
    source, policy = square(later=later)
    video.check_renders(source)
    (tmp_path / name).write_text("an older film")
    with pytest.raises(EnvError, match=r"Square (cannot render|renders)"):
        video.record(tmp_path / name, source, policy, seed=0, mode="greedy", episodes=1)
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "an older film"


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_file_that_cannot_be_written_is_one_line(tmp_path, suffix):
    source, policy = square()
    path = tmp_path / "gone" / f"out{suffix}"  # the folder vanished after `plan`
    with pytest.raises(GrpoError, match="could not be written"):
        video.record(path, source, policy, seed=0, mode="greedy", episodes=1)


def test_a_cut_film_is_noticed(tmp_path, monkeypatch):
    source, policy = square()
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda _: (3, 0.3))
    with pytest.raises(GrpoError, match="wrote 3 of 4 frames"):
        video.record(tmp_path / "o.mp4", source, policy, seed=0, mode="greedy", episodes=1)
    assert os.listdir(tmp_path) == []


def test_the_result_names_the_film(capsys):
    result = {"ckpt": "c", "env": "X-v1", "threshold": None, "seed": 3, "eval": {}}
    show_evaluation({**result, "video": "some/out.mp4"})
    assert "\nvideo some/out.mp4\n" in capsys.readouterr().out
    show_evaluation({**result, "video": None})
    assert "video" not in capsys.readouterr().out


def test_eval_films_what_it_scores(tmp_path, monkeypatch):
    """The whole way from words to a file; what cannot work is said before an episode is played."""
    monkeypatch.chdir(tmp_path)
    run = ["env=CartPole-v1", "total_steps=200", "eval.episodes=1", "eval.final_episodes=1"]
    assert CliRunner().invoke(app, ["train", "-q", *run]).exit_code == 0
    words = ["eval", "ckpt=last", "episodes=3", "--json"]
    done = CliRunner().invoke(app, [*words, "mode=sampled", "video=out.mp4", "video_episodes=3"])
    result = json.loads(done.stdout)
    assert result["video"] == "out.mp4"
    frames = decode(tmp_path / "out.mp4")[1]
    assert len(frames) == round(3 * result["eval"]["sampled"]["length_mean"]) + 3
    assert json.loads(CliRunner().invoke(app, words).stdout)["video"] is None

    monkeypatch.setattr(Evaluator, "scores", lambda *_: pytest.fail("an episode was played"))
    for wrong in ("out.avi", "there/out.mp4"):
        refused = CliRunner().invoke(app, [*words, f"video={wrong}"])
        assert refused.exit_code == 2
        assert refused.stderr.startswith("error: ")


def test_pygame_does_not_greet_on_stdout(tmp_path):
    """It would stand in front of the JSON of `grpo eval --json`."""
    code = (
        "from grpo_cli import video; from grpo_cli.envs import open_env;"
        f"video.plan({str(tmp_path / 'out.gif')!r});"
        "video.check_renders(open_env('CartPole-v1'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()
