"""Text tasks: problems, what answers are worth, what is held out. None of it needs a model."""

import json
from fractions import Fraction

import numpy as np
import pytest

from grpo_cli.errors import ConfigError
from grpo_cli.randomness import Use
from grpo_cli.text.ask import TASKS, make_asks
from grpo_cli.text.asking import Once, Plays
from grpo_cli.text.blackjack import Blackjack
from grpo_cli.text.data import Rows, jsonl
from grpo_cli.text.policy import as_text
from grpo_cli.text.tasks import Arithmetic, Copy, Countdown, Problem, given, held_out, value_of


def seeds(use, count=300):
    return [4 * i + use for i in range(count)]


@pytest.mark.parametrize("task", [Arithmetic(), Arithmetic(3, "+-*", 3), Copy(), Countdown()])
def test_what_is_scored_was_never_trained_on(task):
    train = {as_text(task.problem(seed).prompt) for seed in seeds(Use.TRAIN)}
    for use in (Use.CHECK, Use.FINAL):
        scored = {as_text(task.problem(seed).prompt) for seed in seeds(use)}
        assert not train & scored
        assert all(map(held_out, scored))
    assert task.problem(40) == task.problem(40)


def test_arithmetic_pays_for_the_right_number():
    task, problem = Arithmetic(), Problem("37+45=", {"answer": "82"})
    assert [task.reward(said, problem) for said in ("82", " 82 ", "83", "8", "")] == [1, 1, 0, 0, 0]
    chat = Arithmetic(instruct=True).problem(0)
    assert "<answer>" in chat.prompt
    right = chat.columns["answer"]
    assert Arithmetic(instruct=True).reward(f"so <answer>{right}</answer>", chat) == 1


def test_copy_pays_the_share_of_letters_in_place():
    task, problem = Copy(), Problem("copy abcd:", {"answer": "abcd"})
    said = ("abcd", "abxd", "abcde", "", "bcd")
    assert [task.reward(s, problem) for s in said] == [1, 0.75, 0.8, 0, 0]


def test_countdown_takes_each_number_once():
    task, problem = Countdown(), Problem("3 5 7 -> 22:", {"numbers": [3, 5, 7], "target": 22})
    right, partly = ("3*5+7", "(3*5)+7", "7+5*3"), ("3+5+7", "5", "7/3")
    wrong = ("22", "3*5+7+7", "3**5", "3*5+", "", "__import__('os')", "7/(5-5)", "5/0")
    assert [task.reward(said, problem) for said in right] == [1] * 3
    assert [task.reward(said, problem) for said in partly] == [0.1] * 3
    assert [task.reward(said, problem) for said in wrong] == [0] * 8
    found = [Countdown().problem(seed) for seed in seeds(Use.TRAIN, 50)]
    assert all(isinstance(p.columns["target"], int) and p.columns["target"] >= 0 for p in found)


def test_expressions_are_exact_and_harmless():
    assert value_of("1/3+1/3+1/3") == 1
    assert value_of("-(2-5)*4") == Fraction(12)
    assert value_of("9**9**9") is None
    assert value_of("1" * 500) is None
    assert given("<answer>1</answer> no, <answer> 2 </answer>") == "2"


def test_prompts_of_ones_own(tmp_path):
    file = tmp_path / "prompts.jsonl"
    rows = [{"prompt": f"say {i}", "answer": i, "kind": "n"} for i in range(10)]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    task = jsonl(str(file))
    trained = {task.problem(seed).prompt for seed in seeds(Use.TRAIN)}
    scored = {task.problem(seed).prompt for seed in seeds(Use.FINAL)}
    assert scored == {"say 0", "say 5"}
    assert trained == {row["prompt"] for row in rows} - scored
    problem = task.problem(0)
    assert problem.columns.keys() == {"answer", "kind"}
    assert task.reward(f" {problem.columns['answer']} ", problem) == 1
    assert task.reward("nine", problem) == 0


def test_prompts_without_an_answer_pay_nothing():
    task = Rows([{"prompt": "hello"}])
    assert not task.pays
    replies = Once(task)
    replies.reset(np.array([0]))
    said = replies.step(np.array([0]), ["hi"])
    assert (said.reward.tolist(), said.success) == ([0.0], [None])


def test_a_file_that_is_none_says_so(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        jsonl(str(tmp_path / "none.jsonl"))
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n[1]\n')
    with pytest.raises(ConfigError, match="no JSON object"):
        jsonl(str(tmp_path / "bad.jsonl"))
    with pytest.raises(ConfigError, match="no column question"):
        Rows([{"prompt": "a"}], prompt="question")
    with pytest.raises(ConfigError, match="no text task"):
        make_asks("text/poetry", {}, None)
    with pytest.raises(ConfigError, match="cannot be made"):
        make_asks("text/copy", {"letter": 3}, None)
    assert set(TASKS) == {f"text/{n}" for n in "arithmetic copy countdown jsonl dataset".split()}


def test_blackjack_is_played_in_words():
    asks = Plays(Blackjack, max_turns=10)
    problems = asks.reset(np.array([4, 4, 8]))
    assert problems[0].prompt == problems[1].prompt
    assert problems[0].prompt.endswith("hit or stick?")
    every = np.arange(3)
    replies = asks.step(every, ["Stick.", "hit or stick", "fold"])
    assert replies.terminated[0]
    assert replies.terminated[2]
    assert (replies.reward[2], replies.success[2]) == (-1.0, False)
    asks.close()


def test_a_conversation_has_a_last_turn():
    asks = Plays(Blackjack, max_turns=1)
    asks.reset(np.array([4]))
    replies = asks.step(np.array([0]), ["hit"])
    assert replies.terminated[0] or replies.truncated[0]
