"""From settings to a policy that speaks."""

from collections.abc import Sequence

import numpy as np
import torch

from grpo_cli.errors import ConfigError
from grpo_cli.text.generation import Warp
from grpo_cli.text.model import load_speaker
from grpo_cli.text.policy import TextPolicy
from grpo_cli.text.served import Served

__all__ = ["text"]


def text(
    device: torch.device,
    generator: np.random.Generator,
    *,
    model: str | None,
    adapter: str = "lora",
    rank: int = 16,
    alpha: float = 32.0,
    targets: Sequence[str] = (),
    dtype: str = "auto",
    gradient_checkpointing: bool = False,
    micro_batch: int = 16,
    reduce_memory_peak: bool = False,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    max_new_tokens: int = 64,
    chat: str = "auto",
    system: str | None = None,
    server: str | None = None,
    server_folder: str | None = None,
) -> TextPolicy:
    """Build a policy that speaks; see `load_speaker`, `Warp`, `TextPolicy` and `Served`.

    Raises:
        ConfigError: there is no such model, or it has no chat template and chat=always.
    """
    if model is None:
        raise ConfigError("policy=text needs a model", "write policy.model=<folder or hub name>")
    seed = int(generator.integers(2**62))
    speaker = load_speaker(
        model, device, seed, adapter=adapter, rank=rank, alpha=alpha, targets=targets, dtype=dtype,
        gradient_checkpointing=gradient_checkpointing,
    )  # fmt: skip
    template = getattr(speaker.tokenizer, "chat_template", None)
    if chat == "always" and not template:
        raise ConfigError(f"{model} has no chat template", "set policy.chat=auto")
    return TextPolicy(
        speaker,
        Warp(temperature, top_p, top_k, max_new_tokens),
        micro_batch=micro_batch,
        reduce_memory_peak=reduce_memory_peak,
        gradient_checkpointing=gradient_checkpointing,
        chat=chat == "always" or (chat == "auto" and bool(template)),
        system=system,
        generates=None if server is None else Served(speaker, server, server_folder),
    )
