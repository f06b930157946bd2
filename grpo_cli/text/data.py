"""Tasks from a person's own prompts: a JSONL file, or a data set of Hugging Face."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grpo_cli.errors import ConfigError, MissingPackage
from grpo_cli.text.model import INSTALL
from grpo_cli.text.policy import Prompt
from grpo_cli.text.tasks import HELD_OUT, Problem, chosen, evaluates, given

Row = Mapping[str, Any]


class Rows:
    """Rows with a prompt each. Where there is an answer, it pays 1 for saying it, else nothing.

    Args:
        rows: for training.
        held: for evaluation; None: every fifth of the rows, or all where there are fewer than five.
        prompt: name of the column with the prompt, a text or messages.
        answer: name of the column with the right answer.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        held: Sequence[Row] | None = None,
        prompt: str = "prompt",
        answer: str = "answer",
    ) -> None:
        if not len(rows):
            raise ConfigError("there is not one prompt", "give a file or a split with rows")
        if prompt not in rows[0]:
            has = ", ".join(rows[0])
            raise ConfigError(
                f"rows have no column {prompt}", f"they have {has}: env.kwargs.prompt="
            )
        self._rows, self._held = rows, rows if held is None else held
        every = range(len(rows))
        shared = held is None and len(rows) >= HELD_OUT
        self._train = [i for i in every if i % HELD_OUT] if shared else list(every)
        self._eval = [i for i in every if i % HELD_OUT == 0] if shared else range(len(self._held))
        self._prompt, self._answer = prompt, answer
        self.pays = answer in rows[0]

    def problem(self, seed: int) -> Problem:
        """Return the row that a seed draws."""
        held = evaluates(seed)
        row = (self._held if held else self._rows)[
            chosen(self._eval if held else self._train, seed)
        ]
        prompt: Prompt = row[self._prompt]
        return Problem(prompt, {k: v for k, v in row.items() if k != self._prompt})

    def reward(self, answer: str, problem: Problem) -> float | None:
        """Pay 1 for the answer of the row, nothing where it has none."""
        if not self.pays:
            return None
        return float(given(answer) == str(problem.columns[self._answer]).strip())


def jsonl(
    file: str, test_file: str | None = None, prompt: str = "prompt", answer: str = "answer"
) -> Rows:
    """Read one JSON object a line.

    Raises:
        ConfigError: it cannot be read, or has no such column.
    """
    held = None if test_file is None else _lines(test_file)
    return Rows(_lines(file), held, prompt, answer)


def _lines(file: str) -> list[Row]:
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}", "give a file of JSON lines") from error
    if not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{file} has a line that is no JSON object", 'write {"prompt": "..."}')
    return rows


def dataset(
    path: str,
    name: str | None = None,
    split: str = "train",
    test_split: str | None = None,
    prompt: str = "prompt",
    answer: str = "answer",
) -> Rows:
    """Load a data set: a folder that `save_to_disk` wrote, files, or a name on the hub.

    Raises:
        MissingPackage: datasets is not installed.
        ConfigError: there is no such data set, split or column.
    """
    try:
        import datasets  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingPackage("text/dataset needs datasets", INSTALL) from error
    saved = any((Path(path) / file).is_file() for file in ("dataset_dict.json", "state.json"))
    try:
        found = datasets.load_from_disk(path) if saved else datasets.load_dataset(path, name)
        parts = found if isinstance(found, dict) else {split: found}
        rows: Any = parts[split]
        held: Any = None if test_split is None else parts[test_split]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"data set {path} cannot be loaded: {str(error).splitlines()[0]}",
            "check env.kwargs.path, name, split; a name on the hub needs the network",
        ) from error
    return Rows(rows, held, prompt, answer)
