"""Answers by a server that speaks the OpenAI completion format, such as vLLM's: the seam for it.

The server must hold what the policy is now. It is told where the adapter lies whenever that has
changed (vLLM: `POST /v1/load_lora_adapter`, VLLM_ALLOW_RUNTIME_LORA_UPDATING=True); a policy whose
whole weights learn would need another way, and is refused.
"""

import json
import shutil
import tempfile
import urllib.error
import urllib.request
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grpo_cli.errors import ConfigError, EnvError
from grpo_cli.text.generation import Answer, Noise, Warp
from grpo_cli.text.model import Speaker

ADAPTER = "grpo"
TIMEOUT_S = 600.0


class Served:
    """Ask a server.

    The server draws with a seed for each answer, made from the noise of its first token, so a
    rollout that is sampled again is the same as far as the server keeps its word.

    Args:
        speaker: whose adapter is sent; its tokenizer is the server's.
        url: of the server, such as http://localhost:8000.
        folder: where adapters are written, seen by both; None: a temporary one.
    """

    def __init__(self, speaker: Speaker, url: str, folder: Path | str | None = None) -> None:
        if not speaker.adapted:
            raise ConfigError(
                "a server can be told of an adapter, not of all weights",
                "set policy.adapter=lora, or leave out policy.server",
            )
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"policy.server={url} is no address", "write http://host:port")
        self._speaker, self._url = speaker, url.rstrip("/")
        if folder is None:
            folder = tempfile.mkdtemp(prefix="grpo-adapter-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = Path(folder)
        self._sent: Tensor | None = None

    def __call__(self, prompts: Sequence[Sequence[int]], noise: Noise, warp: Warp) -> list[Answer]:
        """Answer prompts; see `generation.Generates`."""
        self._send()
        return [
            self._answer(prompt, float(drawn), warp)
            for prompt, drawn in zip(prompts, noise(0), strict=True)
        ]

    def _answer(self, prompt: Sequence[int], drawn: float, warp: Warp) -> Answer:
        greedy = bool(np.isnan(drawn))
        said = self._post(
            "/v1/completions",
            {
                "model": ADAPTER,
                "prompt": list(prompt),
                "n": 1,
                "max_tokens": warp.max_new_tokens,
                "temperature": 0.0 if greedy else warp.temperature,
                "top_p": warp.top_p,
                "top_k": warp.top_k or -1,
                "seed": 0 if greedy else int(drawn * 2**31),
                "logprobs": 0,
                "return_token_ids": True,
                "stop_token_ids": list(self._speaker.eos),
                "skip_special_tokens": False,
                "include_stop_str_in_output": True,
            },
        )
        try:
            choice = said["choices"][0]
            ids = [int(token) for token in choice["token_ids"]]
            logprob = np.array(choice["logprobs"]["token_logprobs"], dtype=np.float32)
            ended = choice["finish_reason"] == "stop"
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EnvError(
                f"{self._url} answered something else than a completion: {error!r}",
                "use a server that gives token_ids and logprobs, such as vLLM 0.10.2 or later",
            ) from error
        if ended and (not ids or ids[-1] not in self._speaker.eos):
            ids, logprob = [*ids, self._speaker.eos[0]], np.append(logprob, np.float32(0))
        return Answer(ids, logprob, ended)

    def _send(self) -> None:
        """Tell the server of the adapter as it is now, unless it has heard of it."""
        learned = [p.detach() for p in self._speaker.model.parameters() if p.requires_grad]
        now = torch.cat([tensor.reshape(-1) for tensor in learned])
        if self._sent is not None and torch.equal(now, self._sent):
            return
        path = self._speaker.save(self._folder / ADAPTER)
        self._post(
            "/v1/load_lora_adapter",
            {"lora_name": ADAPTER, "lora_path": str(path), "load_inplace": True},
        )
        self._sent = now

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the address was looked at
            self._url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310
                text = reply.read().decode()
        except (urllib.error.URLError, OSError) as error:
            raise EnvError(
                f"{self._url}{path} does not answer: {error}",
                "start the server, or leave out policy.server",
            ) from error
        try:
            found = json.loads(text)
        except ValueError:
            found = text
        return found if isinstance(found, dict) else {"said": found}
