"""Reward functions of words, in TRL's signature, and reward models."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from grpo_cli.errors import ConfigError
from grpo_cli.rollout import Rollout
from grpo_cli.text.conversation import Talk
from grpo_cli.text.model import libraries
from grpo_cli.text.policy import Prompt, as_text

Judges = Callable[..., Sequence[float | None]]
"""`f(prompts, completions, **columns) -> [M]`; None: does not apply."""


def is_judge(function: object) -> bool:
    """Say whether a function has TRL's signature: it takes `completions`."""
    return callable(function) and "completions" in inspect.signature(function).parameters


class Judged:
    """A function in TRL's signature as a reward function of the house, [M].

    It gets by name what it takes: `prompts`, `completions` (texts, or messages where prompts are
    messages), `completion_ids`, and a list for each column that any prompt came with.

    Args:
        function: see `Judges`.
    """

    def __init__(self, function: Judges) -> None:
        self._function = function
        parameters = inspect.signature(function).parameters.values()
        self._takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self._takes = {p.name for p in parameters}

    def __call__(self, rollout: Rollout) -> list[float | None]:
        """Ask about every member, [M].

        Raises:
            ConfigError: the rollout holds no words, or the function returned too few numbers.
        """
        if rollout.context is None:
            raise ConfigError(
                "a reward function of prompts and completions, and the environment has no words",
                "write a function of the rollout, or train on a text task",
            )
        talks: list[Talk] = list(rollout.context)
        names = dict.fromkeys(name for talk in talks for name in talk.columns)
        given: dict[str, Any] = {
            **{name: [talk.columns.get(name) for talk in talks] for name in names},
            "prompts": [talk.prompt for talk in talks],
            "completions": [_completion(talk) for talk in talks],
            "completion_ids": [talk.ids for talk in talks],
        }
        kept = {k: v for k, v in given.items() if self._takes_all or k in self._takes}
        said = list(self._function(**kept))
        if len(said) != len(talks):
            raise ConfigError(
                f"a reward function returned {len(said)} numbers for {len(talks)} completions",
                "return a list with a number or None for each completion",
            )
        return said


def _completion(talk: Talk) -> Prompt:
    if isinstance(talk.prompt, str):
        return talk.completion
    return [{"role": "assistant", "content": said} for said in talk.said]


class RewardModel:
    """A model that reads prompt and completion and says one number: TRL's reward model.

    Args:
        name: a folder or hub name of a sequence classifier with one label.
        device: where it reads.
        micro_batch: texts in one call.

    Raises:
        ConfigError: it cannot be loaded.
    """

    def __init__(self, name: str, device: torch.device, micro_batch: int = 16) -> None:
        tf, _ = libraries()
        try:
            model = tf.AutoModelForSequenceClassification.from_pretrained(name, num_labels=1)
            self._tokenizer = tf.AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"group.reward_model={name} cannot be loaded: {str(error).splitlines()[0]}",
                "give the folder or hub name of a sequence classifier with one label",
            ) from error
        self._model = model.to(device).eval()
        self._micro_batch = micro_batch
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model.config.pad_token_id = self._tokenizer.pad_token_id

    @torch.no_grad()
    def __call__(
        self, prompts: Sequence[Prompt], completions: Sequence[Prompt], **_: object
    ) -> list[float]:
        """Return a number for each completion, [M]."""
        template = getattr(self._tokenizer, "chat_template", None)
        texts = []
        for prompt, completion in zip(prompts, completions, strict=True):
            if template and not isinstance(prompt, str):
                messages = [*prompt, *completion]
                texts.append(self._tokenizer.apply_chat_template(messages, tokenize=False))
            else:
                texts.append(as_text(prompt) + as_text(completion))
        said: list[float] = []
        for first in range(0, len(texts), self._micro_batch):
            part = self._tokenizer(
                texts[first : first + self._micro_batch], return_tensors="pt", padding=True
            ).to(self._model.device)
            part.pop("token_type_ids", None)
            said += self._model(**part).logits[:, 0].float().tolist()
        return said
