"""What is shown turn by turn, and what goes through a chat template."""

import copy

import numpy as np
import pytest
from text.speakers import GREEDY, policy, tokenizer

from grpo_cli.text.asking import Plays
from grpo_cli.text.blackjack import Blackjack
from grpo_cli.text.conversation import converse, pack

pytestmark = pytest.mark.text


class Counts(Blackjack):
    """A game that always goes on."""

    def step(self, action):
        return f"you said {len(action)}.", 1.0, False, False, {}


@pytest.mark.parametrize("history", [True, False])
def test_later_turns_are_shown_what_was_said(history):
    learns, seeds = policy(most=3), np.array([4, 8])
    turns, talks, spent = converse(Plays(Counts, 3), learns, seeds, GREEDY, history)
    assert [turn.member for turn in turns] == [0, 0, 0, 1, 1, 1]
    first, second = turns[0], turns[1]
    said = talks[0].said[0]
    shown = tokenizer().decode(second.prompt)
    if history:
        assert shown == f"{talks[0].prompt}\n{said}\nyou said {len(said)}.\n"
    else:
        assert shown == f"you said {len(said)}."
    assert tokenizer().decode(first.prompt) == talks[0].prompt
    rollout = pack(turns, talks, spent, np.zeros(2, dtype=int), seeds)
    assert rollout.truncated.all()  # three turns, and the game would have gone on
    assert rollout.per_member(rollout.reward).tolist() == [3, 3]
    assert rollout.reward[rollout.reward > 0].tolist() == [1] * 6  # at the last token of a turn
    asked = [talk.asked[turn] for talk in talks for turn in range(3)]
    equal = rollout.obs.state[:, None] == rollout.obs.state[None, :]
    assert equal.tolist() == [[a == b for b in asked] for a in asked]


def test_prompts_go_through_the_chat_template():
    learns = policy(chat=True, system="be short")
    spoken = copy.deepcopy(tokenizer())
    spoken.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    object.__setattr__(learns, "speaker", copy.copy(learns.speaker))
    object.__setattr__(learns.speaker, "tokenizer", spoken)
    wanted = "<system>be short\n<user>1+1=\n<assistant>"
    assert learns.encode("1+1=") == spoken(wanted)["input_ids"]
    messages = [{"role": "user", "content": "1+1="}]
    assert learns.encode(messages) == learns.encode("1+1=")
    plain = policy(system="be short")
    assert plain.encode("1+1=") == spoken("be short\n1+1=")["input_ids"]
    assert plain.encode("") != []
