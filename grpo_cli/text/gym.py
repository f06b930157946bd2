"""AgileRL's `HuggingFaceGym`: prompts of a data set, rewards by a function of the answer."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from grpo_cli.errors import ConfigError
from grpo_cli.randomness import Purpose, rng

Prompts = Sequence[Mapping[str, Any]]
Row = Mapping[str, Any]


class HuggingFaceGym:
    """A data set as an environment of one step.

    Source: AgileRL 2.0, `agilerl.utils.llm_utils.HuggingFaceGym`.

    Args:
        train_dataset: rows with a question and an answer.
        test_dataset: the same, to be scored on.
        tokenizer: of transformers.
        reward_fn: `f(completion, answer, question) -> float`, or one that takes `prompts` and
            `completions` as TRL's do.
        apply_chat_template_fn: `f(question, answer, tokenizer) -> {"input_ids": ...}`; None: the
            tokenizer's chat template, or the question as it is.
        max_answer_tokens: the longest answer, for the action space.
        data_batch_size: prompts that `reset` and `step` give.
        question: name of the column with the question.
        answer: name of the column with the answer.
        seed: of the order of rows.
    """

    def __init__(
        self,
        train_dataset: Sequence[Row],
        test_dataset: Sequence[Row],
        tokenizer: Any,  # noqa: ANN401 - of transformers
        reward_fn: Callable[..., Any],
        apply_chat_template_fn: Callable[..., Mapping[str, Any]] | None = None,
        max_answer_tokens: int = 512,
        data_batch_size: int = 8,
        question: str = "question",
        answer: str = "answer",
        seed: int = 0,
    ) -> None:
        self.tokenizer = tokenizer
        self._reward = reward_fn
        self._judges = "completions" in inspect.signature(reward_fn).parameters
        self._template = apply_chat_template_fn
        self._sets = {True: train_dataset, False: test_dataset}
        self._names = question, answer
        self._batch_size, self._seed = data_batch_size, seed
        self._training = True
        self._place = {True: 0, False: 0}
        self._rows: list[Row] = []
        self._lengths: list[int] = []
        size = len(tokenizer)
        self.observation_space = spaces.Sequence(spaces.Discrete(size))
        self.action_space = spaces.Box(0, size - 1, (max_answer_tokens,), np.int64)

    def reset(self, reset_dataloaders: bool = False) -> list[dict[str, Tensor]]:
        """Give the next prompts; begin with the first ones where that is asked for."""
        if reset_dataloaders:
            self._place[self._training] = 0
        rows = self._sets[self._training]
        first = self._place[self._training]
        count = min(self._batch_size, len(rows))
        self._rows = [rows[self._row(number)] for number in range(first, first + count)]
        self._place[self._training] = first + count
        prompts = [self._encoded(row) for row in self._rows]
        self._lengths = [len(prompt["input_ids"]) for prompt in prompts]
        return prompts

    def step(self, completions: Sequence[Tensor]) -> tuple[list[dict[str, Tensor]], Tensor]:
        """Say what completions are worth, and give the next prompts.

        Args:
            completions: for each prompt, ids of prompt and completion, [G, L].

        Returns:
            The next prompts, and the rewards [P, G].

        Raises:
            ConfigError: nothing was asked yet, or for as many prompts.
        """
        if len(completions) != len(self._rows):
            raise ConfigError(
                f"{len(completions)} groups of completions for {len(self._rows)} prompts",
                "call reset(), and step() with what get_action() gave",
            )
        question, answer = self._names
        worth = []
        for row, ids, begins in zip(self._rows, completions, self._lengths, strict=True):
            texts = self.tokenizer.batch_decode(ids[:, begins:], skip_special_tokens=True)
            if self._judges:
                said = self._reward(
                    prompts=[row[question]] * len(texts),
                    completions=texts,
                    **{k: [v] * len(texts) for k, v in row.items() if k != question},
                )
            else:
                said = [self._reward(text, row.get(answer), row[question]) for text in texts]
            worth.append(torch.tensor([float(x) for x in said]))
        return self.reset(), torch.stack(worth)

    @contextmanager
    def eval_mode(self) -> Iterator[None]:
        """Ask what is in the test set until the block ends."""
        before = self._training, self._rows, self._lengths
        self._training = False
        try:
            yield
        finally:
            self._training, self._rows, self._lengths = before

    def _row(self, number: int) -> int:
        """Return the row at a place in an endless sequence of shuffled passes."""
        size = len(self._sets[self._training])
        turn, place = divmod(number, size)
        if not self._training:
            return place
        return int(rng(self._seed, Purpose.START, turn).permutation(size)[place])

    def _encoded(self, row: Row) -> dict[str, Tensor]:
        question, answer = (row.get(name) for name in self._names)
        tokenizer = self.tokenizer
        if self._template is not None:
            found: Mapping[str, Any] = self._template(question, answer, tokenizer)
        elif getattr(tokenizer, "chat_template", None):
            text = tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
            )
            found = tokenizer(text, add_special_tokens=False)
        else:
            found = tokenizer(question)
        ids = torch.as_tensor(found["input_ids"]).flatten()
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
