"""Tasks that the project makes itself: problems with an answer that can be checked.

A problem follows from a seed. A fifth of all problems is held out: only seeds of evaluation lead to
them, so what is scored was never trained on.
"""

import ast
import operator
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from grpo_cli.errors import ConfigError
from grpo_cli.randomness import Use
from grpo_cli.text.policy import Prompt

HELD_OUT = 5  # every so manieth problem
TRIES = 10_000
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Problem:
    """A prompt, and what reward functions may know besides.

    Attributes:
        prompt: what the model is asked.
        columns: further values by name, such as the right answer.
    """

    prompt: Prompt
    columns: dict[str, Any] = field(default_factory=dict)


class Task(Protocol):
    """Where prompts come from, and what answers are worth."""

    def problem(self, seed: int) -> Problem:
        """Return the problem of a seed, whose lowest two bits are a `randomness.Use`."""
        ...

    def reward(self, answer: str, problem: Problem) -> float | None:
        """Say what an answer is worth, 1 where it is right; None: the task pays nothing."""
        ...


def evaluates(seed: int) -> bool:
    """Say whether a seed is one of evaluation."""
    return (seed & 3) != Use.TRAIN


def held_out(text: str) -> bool:
    """Say whether a problem is kept for evaluation."""
    return zlib.crc32(text.encode()) % HELD_OUT == 0


class _Made:
    """Problems that are drawn until one is on the side that its seed is for."""

    def problem(self, seed: int) -> Problem:
        """Return the problem of a seed."""
        generator = np.random.default_rng(seed)
        problem = self.draw(generator)
        for _ in range(TRIES):
            if held_out(str(problem.prompt)) == evaluates(seed):
                break
            problem = self.draw(generator)
        return problem

    def draw(self, generator: np.random.Generator) -> Problem:
        """Draw a problem."""
        raise NotImplementedError


class Arithmetic(_Made):
    """Sums such as `37+45=`; 1 for the right number, else 0.

    Args:
        digits: of each number, at most.
        operators: which of + - * there are.
        terms: numbers of a sum.
        instruct: ask in words, as one asks a chat model, and look for <answer>...</answer>.
    """

    def __init__(
        self, digits: int = 2, operators: str = "+", terms: int = 2, instruct: bool = False
    ) -> None:
        if not operators or set(operators) - set("+-*"):
            raise ConfigError(f"env.kwargs.operators={operators}", "write some of + - *")
        self.digits, self.operators, self.terms, self.instruct = digits, operators, terms, instruct

    def draw(self, generator: np.random.Generator) -> Problem:
        """Draw a sum."""
        numbers = generator.integers(10**self.digits, size=self.terms).tolist()
        signs = generator.choice(list(self.operators), size=self.terms - 1).tolist()
        text = str(numbers[0]) + "".join(f"{s}{n}" for s, n in zip(signs, numbers[1:], strict=True))
        right = value_of(text)
        prompt = f"{text}="
        if self.instruct:
            prompt = f"What is {text}? Think, then give the number alone in <answer></answer>."
        return Problem(prompt, {"answer": str(right)})

    def reward(self, answer: str, problem: Problem) -> float:
        """Pay 1 for the right number."""
        return float(given(answer) == problem.columns["answer"])


class Copy(_Made):
    """A word to be repeated, `copy abcd:`; the share of letters that stand in their place.

    Args:
        length: letters of a word, at most.
        letters: there are.
    """

    def __init__(self, length: int = 6, letters: str = LETTERS) -> None:
        self.length, self.letters = length, letters

    def draw(self, generator: np.random.Generator) -> Problem:
        """Draw a word."""
        size = int(generator.integers(1, self.length + 1))
        word = "".join(generator.choice(list(self.letters), size=size))
        return Problem(f"copy {word}:", {"answer": word})

    def reward(self, answer: str, problem: Problem) -> float:
        """Pay the share of letters in their place, of the longer of the two words."""
        said, word = answer.strip(), problem.columns["answer"]
        right = sum(a == b for a, b in zip(said, word, strict=False))
        return right / max(len(said), len(word))


class Countdown(_Made):
    """Numbers to be put together to make another, `3 5 7 -> 22:`, as in the game show.

    Pays 1 for an expression that uses each number once at most and has the value asked for,
    `partly` for any other expression of these numbers, else 0. (Pan et al. 2025, TinyZero.)

    Args:
        numbers: how many there are.
        highest: of them.
        partly: see above.
        instruct: ask in words, as one asks a chat model, and look for <answer>...</answer>.
    """

    def __init__(
        self, numbers: int = 3, highest: int = 20, partly: float = 0.1, instruct: bool = False
    ) -> None:
        self.numbers, self.highest = numbers, highest
        self.partly, self.instruct = partly, instruct

    def draw(self, generator: np.random.Generator) -> Problem:
        """Draw numbers, and a target that some of them make."""
        numbers = generator.integers(1, self.highest + 1, size=self.numbers).tolist()
        target = numbers[0]
        for number in numbers[1:]:
            target = generator.choice([target + number, abs(target - number), target * number])
        shown = generator.permutation(numbers).tolist()
        words = " ".join(map(str, shown))
        prompt = f"{words} -> {target}:"
        if self.instruct:
            prompt = (
                f"Using the numbers {words}, each at most once, and + - * /, make {target}. "
                "Give the expression alone in <answer></answer>."
            )
        return Problem(prompt, {"numbers": shown, "target": int(target)})

    def reward(self, answer: str, problem: Problem) -> float:
        """Pay for an expression."""
        text = given(answer)
        left = list(problem.columns["numbers"])
        for number in map(int, re.findall(r"\d+", text)):
            if number not in left:
                return 0.0
            left.remove(number)
        value = value_of(text)
        if value is None:
            return 0.0
        return 1.0 if value == problem.columns["target"] else self.partly


def given(answer: str) -> str:
    """Return what stands in the last <answer></answer>, or all of it, without spaces around."""
    found = re.findall(r"<answer>(.*?)</answer>", answer, re.DOTALL)
    return (found[-1] if found else answer).strip()


_OPERATORS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip
LONGEST = 200  # characters of an expression


def value_of(text: str) -> Fraction | None:
    """Return the exact value of an expression of whole numbers and + - * / ( ), or None."""
    if len(text) > LONGEST or not re.fullmatch(r"[\d\s+*/()-]+", text):
        return None
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return Fraction(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    raise ValueError("no expression of whole numbers")


def chosen(rows: Sequence[int], seed: int) -> int:
    """Draw one of the rows by seed."""
    return rows[int(np.random.default_rng(seed).integers(len(rows)))]
