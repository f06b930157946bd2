"""A policy that speaks: a causal language model behind what an update asks of a policy."""

import copy
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from grpo_cli.clock import part
from grpo_cli.distributions import Outlook
from grpo_cli.errors import ConfigError
from grpo_cli.ranks import ALONE, Ranks
from grpo_cli.rollout import Batch, Obs
from grpo_cli.text.generation import Answer, Generates, Noise, Plain, Warp
from grpo_cli.text.model import Speaker
from grpo_cli.text.said import Base, Said
from grpo_cli.tokens import Tokens, spoken

Prompt = str | Sequence[Mapping[str, str]]
"""A text, or messages of a conversation: {"role": "user", "content": ...}."""


class TextPolicy:
    """A language model as a policy.

    Args:
        speaker: model and tokenizer.
        warp: how tokens are drawn.
        micro_batch: texts at most in one call of the model.
        reduce_memory_peak: gradients are computed one micro-batch after the other.
        gradient_checkpointing: the model has it switched on.
        chat: prompts go through the tokenizer's chat template.
        system: stands before every conversation, or None.
        entropy_gradient: something is learned from the entropy.
        generates: who answers; None: transformers.
    """

    by_member = True

    def __init__(
        self,
        speaker: Speaker,
        warp: Warp,
        *,
        micro_batch: int = 16,
        reduce_memory_peak: bool = False,
        gradient_checkpointing: bool = False,
        chat: bool = False,
        system: str | None = None,
        entropy_gradient: bool = False,
        generates: Generates | None = None,
    ) -> None:
        self.speaker = speaker
        self.warp = warp
        self.family = Said()
        self.micro_batch = micro_batch
        self.in_parts = reduce_memory_peak
        self.chat, self.system = chat, system
        self.entropy_gradient = entropy_gradient
        self.generates: Generates = generates or Plain(speaker, self.computing)
        self._checkpointing = gradient_checkpointing
        self._learned = [n for n, p in speaker.model.named_parameters() if p.requires_grad]

    @property
    def model(self) -> Any:  # noqa: ANN401 - of transformers or PEFT
        """The model."""
        return self.speaker.model

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.model.device

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        """Return what is learned."""
        return [self.model.get_parameter(name) for name in self._learned]

    def buffers(self) -> tuple[Tensor, ...]:
        """Return what is measured and not learned: nothing."""
        return ()

    def state_dict(self) -> dict[str, Tensor]:
        """Return what is learned, by name."""
        return {name: self.model.get_parameter(name).detach() for name in self._learned}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take what `state_dict` returned.

        Raises:
            RuntimeError: it is of another model or adapter.
        """
        if set(state) != set(self._learned):
            raise RuntimeError("these are the weights of another model")
        for name, tensor in state.items():
            self.model.get_parameter(name).copy_(tensor)

    def frozen(self) -> Any:  # noqa: ANN401 - a policy that learns nothing
        """Return the model as it is now; with an adapter, the model without it."""
        if self.speaker.adapted:
            return Base(self, self.model.disable_adapter)
        model = copy.deepcopy(self.model).requires_grad_(False)
        other = copy.copy(self)
        other.speaker = replace(self.speaker, model=model)
        return other

    def observe(self, obs: Obs, ranks: Ranks = ALONE) -> None:
        """Nothing is normalised."""

    def computing(self) -> AbstractContextManager[Any]:
        """Return the context in which the model computes."""
        if not self.speaker.bf16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def encode(self, prompt: Prompt) -> list[int]:
        """Turn a prompt into token ids; never empty, so that the first token follows something."""
        tokenizer = self.speaker.tokenizer
        if self.chat:
            messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
            system = [{"role": "system", "content": self.system}] if self.system else []
            text = tokenizer.apply_chat_template(
                [*system, *messages], tokenize=False, add_generation_prompt=True
            )
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        else:
            ids = tokenizer(self.system_text + as_text(prompt))["input_ids"]
        return list(ids) or [self.speaker.eos[0]]

    @property
    def system_text(self) -> str:
        """What stands before a prompt that is plain text."""
        return f"{self.system}\n" if self.system else ""

    def decode(self, ids: Sequence[int]) -> str:
        """Turn an answer into text, without special tokens."""
        return self.speaker.tokenizer.decode(ids, skip_special_tokens=True)

    @part("generate")
    def answer(self, prompts: Sequence[Sequence[int]], noise: Noise) -> list[Answer]:
        """Answer prompts, given as token ids."""
        return self.generates(prompts, noise, self.warp)

    def __call__(self, obs: Obs, lengths: Sequence[int] = ()) -> Tensor:
        """Return what is known of each row, [B, 2]; see `Said`."""
        tokens = spoken(obs)
        found, place = [], []
        for rows in self._parts(tokens):
            found.append(self._said(tokens[rows]))
            place.append(rows)
        return torch.cat(found)[torch.cat(place).argsort()]

    def outlook(self, batch: Batch) -> Outlook:
        """Return what the policy now thinks of a batch, with gradient."""
        params = self._training(lambda: self(batch.obs, batch.lengths))
        return Outlook(self.family, params, self.family.logprob(params, batch.action))

    def back(self, batch: Batch, slope: Tensor) -> None:
        """Add to the gradients, one micro-batch after the other; see `gradient.InParts`."""
        obs = spoken(batch.obs)
        for rows in self._parts(obs):
            said = self._training(lambda rows=rows: self._said(obs[rows]))
            said.backward(slope[rows])

    def _training(self, work: Callable[[], Tensor]) -> Tensor:
        """Checkpointing is asked for by training mode, in which nothing here drops out."""
        if not self._checkpointing:
            return work()
        self.model.train()
        try:
            return work()
        finally:
            self.model.eval()

    def _parts(self, obs: Tokens) -> list[Tensor]:
        """Deal whole texts to micro-batches, those of like length together; rows of each."""
        texts, own = torch.unique(obs.index[:, 0], return_inverse=True)
        order = torch.argsort(obs.start[texts + 1] - obs.start[texts], stable=True)
        part = torch.empty_like(order)
        part[order] = torch.arange(len(order), device=order.device) // self.micro_batch
        of = part[own]
        return [torch.nonzero(of == number)[:, 0] for number in range(int(part.max()) + 1)]

    @part("forward and loss")
    def _said(self, obs: Tokens) -> Tensor:
        """Ask the model about rows whose texts fit into one call, [B, 2]."""
        texts, own = torch.unique(obs.index[:, 0], return_inverse=True)
        place = obs.index[:, 1]
        end = torch.zeros_like(texts).scatter_reduce(0, own, place + 1, "amax")
        longest = int(end.max())
        shift = longest - end
        at = torch.arange(longest, device=end.device) - shift[:, None]  # below 0: padding
        mask, at = at >= 0, at.clamp_min(0)
        ids = torch.where(mask, obs.ids[obs.start[texts][:, None] + at], self.speaker.pad)
        column = place + shift[own] - 1  # what is said at a place follows from the one before
        first = int(column.min())
        logits = self._logits(ids, mask.long(), at, longest - first)[own, column - first]
        logits = logits.float() / self.warp.temperature
        token = obs.ids[obs.start[obs.index[:, 0]] + place]
        logp = logits.log_softmax(dim=1)
        logprob = logp.gather(1, token[:, None])[:, 0]
        with torch.set_grad_enabled(self.entropy_gradient and torch.is_grad_enabled()):
            entropy = -(logp.exp() * logp).sum(dim=1)
        return torch.stack([logprob, entropy], dim=1)

    def _logits(self, ids: Tensor, mask: Tensor, position: Tensor, keep: int) -> Tensor:
        with self.computing():
            out = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=position,
                logits_to_keep=keep,
                use_cache=False,
            )
        return out.logits[:, -keep:]

    def acting(self) -> Any:  # noqa: ANN401 - nothing
        """Refuse to walk through an environment of numbers.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("policy=text reads and writes words", "write group=text and a text task")


def as_text(prompt: Prompt) -> str:
    """Write a prompt as plain text; messages stand on lines of their own."""
    if isinstance(prompt, str):
        return prompt
    return "".join(f"{message['content']}\n" for message in prompt)


def number_of(text: str) -> int:
    """Return a number for a text, the same everywhere and always, below 2**62."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 2
