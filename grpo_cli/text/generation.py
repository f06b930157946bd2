"""Saying something: G answers to each prompt, with a cache, by the model's own `generate`."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from grpo_cli.text.model import Speaker, libraries

Noise = Callable[[int], NDArray[np.float64]]
"""`f(k)`: uniform numbers for the k-th tokens of M answers, [M]; nan: the most probable one."""


@dataclass(frozen=True)
class Warp:
    """How tokens are drawn.

    Attributes:
        temperature: logits are divided by it, in learning as well.
        top_p: smallest set of tokens with this mass; 1: all.
        top_k: so many of the most probable; 0: all.
        max_new_tokens: after so many an answer is cut off.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_new_tokens: int = 64


@dataclass(frozen=True)
class Answer:
    """What was said to one prompt."""

    ids: list[int]  # with the token that ended it
    logprob: NDArray[np.float32]  # of each, nats, at the temperature, before top_p and top_k
    ended: bool  # by itself; else it was cut off


class Generates(Protocol):
    """Who answers prompts: transformers here, or a server."""

    def __call__(self, prompts: Sequence[Sequence[int]], noise: Noise, warp: Warp) -> list[Answer]:
        """Answer M prompts, given as token ids."""
        ...


class Plain:
    """Answer by transformers' `generate`, prompts padded on the left.

    Args:
        speaker: model and tokenizer.
        computing: makes the context in which the model is called.
    """

    def __init__(
        self, speaker: Speaker, computing: Callable[[], AbstractContextManager[Any]]
    ) -> None:
        self._speaker = speaker
        self._computing = computing

    def __call__(self, prompts: Sequence[Sequence[int]], noise: Noise, warp: Warp) -> list[Answer]:
        """See `Generates`."""
        tf, _ = libraries()
        model, pad, eos = self._speaker.model, self._speaker.pad, list(self._speaker.eos)
        ids, mask = padded(prompts, pad)
        draws = _Draws(noise, warp, tf)
        config = tf.GenerationConfig(
            max_new_tokens=warp.max_new_tokens,
            do_sample=False,  # the processor below leaves one token to choose from
            use_cache=True,
            pad_token_id=pad,
            eos_token_id=eos,
        )
        was, _ = model.training, model.eval()
        with self._computing():
            out = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                generation_config=config,
                logits_processor=tf.LogitsProcessorList([draws]),
            )
        model.train(was)
        said = out[:, ids.shape[1] :].cpu().numpy()
        logprob = torch.stack(draws.logprob, dim=1).float().cpu().numpy()
        return [_cut(row, at, eos) for row, at in zip(said, logprob, strict=True)]


def padded(prompts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Fill up on the left; ids and mask, [M, longest]."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt, dtype=torch.int64)
        mask[row, longest - len(prompt) :] = 1
    return ids, mask


def _cut(row: NDArray[np.int64], logprob: NDArray[np.float32], eos: list[int]) -> Answer:
    ends = np.flatnonzero(np.isin(row, eos))
    size = int(ends[0]) + 1 if len(ends) else len(row)
    return Answer(row[:size].tolist(), logprob[:size], bool(len(ends)))


class _Draws:
    """A logits processor of transformers that leaves only the token which the noise chooses."""

    supports_continuous_batching = False

    def __init__(self, noise: Noise, warp: Warp, tf: Any) -> None:  # noqa: ANN401 - transformers
        self._noise = noise
        self._temperature = warp.temperature
        self._warpers = [
            *([tf.TopKLogitsWarper(warp.top_k)] if warp.top_k else []),
            *([tf.TopPLogitsWarper(warp.top_p)] if warp.top_p < 1 else []),
        ]
        self.logprob: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logits = scores.float() / self._temperature
        noise = torch.as_tensor(self._noise(len(self.logprob)), device=scores.device)
        warped = logits
        for warper in self._warpers:
            warped = warper(input_ids, warped)
        token = torch.where(noise.isnan(), warped.argmax(dim=1), draw(warped, noise.nan_to_num()))[
            :, None
        ]
        self.logprob.append(logits.log_softmax(dim=1).gather(1, token)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter_(1, token, 0.0)


def draw(logits: Tensor, noise: Tensor) -> Tensor:
    """Draw tokens by inverse CDF: logits [M, V], uniform noise in [0, 1) [M] -> [M]."""
    mass = logits.double().softmax(dim=1).cumsum(dim=1)
    token = torch.searchsorted(mass, noise[:, None] * mass[:, -1:], right=True)[:, 0]
    # Rounding may leave a little over, which nobody who has no mass may take.
    last = (logits > -torch.inf).long().cumsum(dim=1).argmax(dim=1)
    return torch.minimum(token, last)
