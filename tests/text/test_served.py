"""The seam for vLLM: a server that speaks the OpenAI completion format answers in our place."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from text.speakers import moved, policy, speaker, tokenizer, untrained

from grpo_cli.errors import ConfigError, EnvError
from grpo_cli.text.generation import Plain, Warp
from grpo_cli.text.served import Served

pytestmark = [pytest.mark.text, pytest.mark.filterwarnings("ignore::FutureWarning")]


class Server(BaseHTTPRequestHandler):
    """Answers as vLLM does: with the adapter it was last told of, greedily at temperature 0."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path, body))
        if self.path == "/v1/load_lora_adapter":
            from peft import PeftModel

            from grpo_cli.text.model import prepared

            model = PeftModel.from_pretrained(untrained(), body["lora_path"])
            self.server.speaker = prepared(model, tokenizer(), torch.device("cpu"), False, False)
            return self.say("Success: LoRA adapter added", raw=True)
        noise = np.random.default_rng(body["seed"]).random(body["max_tokens"])
        greedy = body["temperature"] == 0
        [answer] = Plain(self.server.speaker, torch.no_grad)(
            [body["prompt"]],
            lambda k: np.array([np.nan if greedy else noise[k]]),
            Warp(1.0 if greedy else body["temperature"], max_new_tokens=body["max_tokens"]),
        )
        return self.say(
            {
                "object": "text_completion",
                "choices": [
                    {
                        "index": 0,
                        "text": tokenizer().decode(answer.ids, skip_special_tokens=True),
                        "token_ids": answer.ids,
                        "logprobs": {"token_logprobs": answer.logprob.tolist()},
                        "finish_reason": "stop" if answer.ended else "length",
                    }
                ],
            }
        )

    def say(self, what, raw=False):
        text = (what if raw else json.dumps(what)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    found = HTTPServer(("127.0.0.1", 0), Server)
    found.heard = []
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()


def served(learns, server):
    return Served(learns.speaker, f"http://127.0.0.1:{server.server_port}")


def test_a_server_says_what_the_policy_would(server):
    learns = moved(policy(untrained(), adapter=True))
    prompts = [learns.encode("12+3="), learns.encode("7=")]

    def greedy(k):
        return np.full(2, np.nan)

    ours = learns.answer(prompts, greedy)
    learns.generates = served(learns, server)
    theirs = learns.answer(prompts, greedy)
    assert [a.ids for a in theirs] == [a.ids for a in ours]
    assert [a.ended for a in theirs] == [a.ended for a in ours]
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(a.logprob, b.logprob, atol=1e-4)


def test_the_server_hears_of_the_adapter_when_it_has_changed(server):
    learns = policy(untrained(), adapter=True)
    learns.generates = served(learns, server)

    def noise(k):
        return np.array([0.4])

    prompt = [learns.encode("1+1=")]
    first, again = learns.answer(prompt, noise), learns.answer(prompt, noise)
    assert first[0].ids == again[0].ids  # one seed
    moved(learns, 0.5)
    learns.answer(prompt, noise)
    paths = [path.rpartition("/")[2] for path, _ in server.heard]
    assert paths == [
        "load_lora_adapter", "completions", "completions", "load_lora_adapter", "completions",
    ]  # fmt: skip
    asked = server.heard[1][1]
    assert asked["prompt"] == prompt[0]
    assert asked["temperature"] == 1.0
    assert asked["n"] == 1


def test_what_a_server_cannot_do_is_said(server):
    with pytest.raises(ConfigError, match="not of all weights"):
        Served(speaker(), "http://localhost:1")
    with pytest.raises(ConfigError, match="no address"):
        Served(speaker(adapter=True), "localhost:1")
    learns = policy(untrained(), adapter=True)
    learns.generates = Served(learns.speaker, "http://127.0.0.1:9")
    with pytest.raises(EnvError, match="does not answer"):
        learns.answer([[5]], lambda k: np.array([0.5]))
