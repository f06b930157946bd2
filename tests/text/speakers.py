"""Small language models for tests, made by the example's script."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch

from grpo_cli.text.conversation import converse, pack
from grpo_cli.text.generation import Warp
from grpo_cli.text.mode import drawn
from grpo_cli.text.model import adapted, prepared
from grpo_cli.text.policy import TextPolicy

sys.path.append(str(Path(__file__).parents[2] / "examples/text"))


@cache
def tokenizer():
    from make_model import make_tokenizer

    return make_tokenizer()


def untrained(seed=0, size=32, layers=2):
    from make_model import make_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make_model(tokenizer(), size, layers)
        for parameter in model.parameters():  # far from uniform, so that tokens matter
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def speaker(model=None, adapter=False, checkpointing=False, bf16=False):
    model = model or untrained()
    model = adapted(model, 0, 4, 8, []) if adapter else model
    return prepared(model, tokenizer(), torch.device("cpu"), bf16, checkpointing)


def policy(model=None, adapter=False, temperature=1.0, most=6, checkpointing=False, **settings):
    said = speaker(model, adapter, checkpointing)
    return TextPolicy(
        said, Warp(temperature, max_new_tokens=most), gradient_checkpointing=checkpointing,
        **settings,
    )  # fmt: skip


def moved(learns, by=0.02):
    """The same policy, its weights a little elsewhere."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in learns.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))
    return learns


def sampled(learns, asks, prompts=3, size=4):
    """A rollout of so many prompts, with noise from a plain generator."""
    seeds = np.repeat(np.arange(prompts) * 4, size)
    noise = np.random.default_rng(3).random((200, len(seeds)))
    turns, talks, spent = converse(asks, learns, seeds, lambda step, member: noise[step, member])
    return pack(turns, talks, spent, np.repeat(np.arange(prompts), size), seeds)


GREEDY = drawn(None)
