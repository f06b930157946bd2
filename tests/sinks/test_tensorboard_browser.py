"""TensorBoard in headless Chromium: its pages load, and show what two runs wrote."""

import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from browser import browser
from small_runs import own_place, train

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address of a TensorBoard over two runs of different learning rates."""
    with pytest.MonkeyPatch.context() as patch:
        for place in own_place(tmp_path_factory.mktemp("board"), patch):
            for seed, lr in enumerate((0.01, 0.02)):
                quick = ("eval_every=100", "video_every=200", "stop_at=none")
                train("env=CartPole-v1", f"seed={seed}", f"lr={lr}", *quick)
            with socket.socket() as free:
                free.bind(("localhost", 0))
                port = free.getsockname()[1]
            words = [sys.executable, "-m", "grpo_cli", "tensorboard", "--port", str(port)]
            server = subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=place)
            try:
                address = f"http://localhost:{port}/"
                for _ in range(120):
                    try:
                        urllib.request.urlopen(address, timeout=1).close()
                        break
                    except OSError:
                        time.sleep(0.5)
                time.sleep(3)  # it reads the runs
                yield address
            finally:
                server.terminate()
                server.wait()


@pytest.fixture(scope="module")
def shown(url):
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 1600, "height": 1000})
        failed = []
        page.on("pageerror", lambda error: failed.append(str(error)))
        yield page
        assert failed == []


@pytest.mark.parametrize(
    ("tab", "texts"),
    [
        ("timeseries", ["rollout", "grpo-s0-", "grpo-s1-"]),
        ("custom_scalars", ["group", "policy", "time"]),
        ("images", ["eval/film", "eval/trajectory"]),
        ("histograms", ["advantage"]),
        ("text", ["config"]),
        ("hparams", ["Trial ID", "grpo-s0-", "grpo-s1-", "advantage.baseline"]),
    ],
)
def test_pages_show_both_runs(url, shown, tab, texts):
    shown.goto(f"{url}#{tab}")
    shown.reload()
    for text in texts:
        found = shown.get_by_text(re.compile(re.escape(text))).first
        found.wait_for(state="attached", timeout=30_000)
