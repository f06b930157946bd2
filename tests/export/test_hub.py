"""The folder for the Hugging Face Hub: its code runs, and it is uploaded as the Hub wants it."""

import json
import os
import re
import subprocess
import sys
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from nested_env import NESTED
from small_runs import own_place, train

from grpo_cli.config import exporting
from grpo_cli.config.asks import ExportConf
from grpo_cli.errors import ConfigError
from grpo_cli.sinks.view import View


@pytest.fixture
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def export(ckpt, **words):
    conf = ExportConf(ckpt=str(ckpt), format="hub", **words)
    return exporting.export_job(conf, view=View(quiet=True), trusted=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["env=CartPole-v1", "env=grpo/TMaze-v0 policy=recurrent", "Nested"]
)
def test_a_cards_code_runs(place, monkeypatch, words):
    (place / "nested.py").write_text(NESTED)
    if "Nested" in words:
        words = "env=./nested.py:Nested env.max_steps=5 policy=recurrent"
    folder = Path(export(train(*words.split())["run"], out="hub")["out"]).resolve()
    card = (folder / "README.md").read_text()
    result = yaml.safe_load(card.split("---")[1])["model-index"][0]["results"][0]
    assert result["dataset"]["name"] == words.split()[0].removeprefix("env=").removeprefix("./")
    assert str(place) not in card
    [code] = re.findall(r"```python\n(.*?)```", card, re.S)
    monkeypatch.syspath_prepend(place)
    monkeypatch.chdir(folder)
    exec(compile(code, "card", "exec"), {})
    assert (folder / "report.html").is_file()


class Hub(BaseHTTPRequestHandler):
    """What an upload asks of the Hub; files are kept as they arrive."""

    kept: dict = {}  # noqa: RUF012
    asked: list = []  # noqa: RUF012

    def do_GET(self):
        self.asked.append(("GET", self.path))
        self.answer(
            200, {"name": "me", "type": "user", "auth": {}, "sha": "0" * 40, "siblings": []}
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(("POST", self.path))
        if self.headers.get("Authorization") != "Bearer hf_right":
            self.answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            self.kept["made"] = json.loads(body)
            self.answer(200, {"url": f"http://{self.headers['Host']}/me/poles"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files
            ]
            self.answer(200, {"files": modes})
        elif "/commit/" in self.path:
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.kept[entry["value"]["path"]] = b64decode(entry["value"]["content"])
            url = f"http://{self.headers['Host']}/me/poles/commit/1"
            self.answer(200, {"commitUrl": url, "commitOid": "1" * 40, "success": True})
        else:
            self.answer(200, {})

    def answer(self, code, body):
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    Hub.kept, Hub.asked = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def typed(place, *words, **more):
    env = {**os.environ, "HF_HOME": str(place / "hf"), "HF_HUB_DISABLE_XET": "1", **more}
    env.pop("HF_TOKEN", None) if "HF_TOKEN" not in more else None
    command = [sys.executable, "-m", "grpo_cli", "export", "format=hub", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env)


@pytest.mark.slow
def test_a_folder_is_uploaded_where_there_is_a_token(place, hub):
    run = train("env=CartPole-v1")["run"]
    words = (f"ckpt={run}", "repo=me/poles", "out=poles")
    done = typed(place, *words, HF_ENDPOINT=hub, HF_TOKEN="hf_right")
    assert done.returncode == 0, done.stderr
    assert "/me/poles" in done.stdout
    made = Hub.kept["made"]
    assert (made["name"], made["organization"]) == ("poles", "me")
    assert made.get("private") or made.get("visibility") == "private", made
    for file in Path("poles").iterdir():
        assert Hub.kept[file.name] == file.read_bytes(), file

    done = typed(place, *words, HF_ENDPOINT=hub, HF_TOKEN="hf_wrong")
    assert done.returncode == 1
    assert "me/poles was not uploaded" in done.stderr
    assert "Traceback" not in done.stderr

    Hub.asked.clear()
    done = typed(place, *words, HF_ENDPOINT=hub)  # no token: a folder
    assert done.returncode == 0, done.stderr
    assert "there is no token" in done.stderr
    assert Hub.asked == []
    assert Path("poles/README.md").is_file()


def test_a_repository_is_for_the_hub_alone():
    conf = ExportConf(ckpt="x", format="onnx", repo="me/poles")
    with pytest.raises(ConfigError, match="is for the Hub"):
        exporting.export_job(conf, view=View(quiet=True), trusted=False)
