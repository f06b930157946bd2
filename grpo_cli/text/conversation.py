"""Members talk, side by side, each with who asks; what was said becomes a rollout."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from grpo_cli.clock import Clock
from grpo_cli.errors import NonFinite
from grpo_cli.rollout import LEARN, Episodes, Floats, Ints, Rollout
from grpo_cli.sums import bincount
from grpo_cli.text.asking import Asks
from grpo_cli.text.generation import Answer
from grpo_cli.text.policy import Prompt, TextPolicy, as_text, number_of
from grpo_cli.tokens import Tokens

Draws = Callable[[Ints, Ints], Floats]
"""`f(step [B], member [B]) -> [B]`: uniform noise; nan: the most probable token."""


@dataclass(frozen=True)
class Turn:
    """One turn of one member: what it was shown, and what it said."""

    member: int
    prompt: list[int]
    answer: Answer
    state: int  # equal where the same was asked
    reward: float


@dataclass
class Talk:
    """A member's conversation; `Rollout.context` holds one for each.

    Attributes:
        prompt: what it began with.
        columns: what reward functions may know besides.
        said: the answers, in order.
        asked: what was asked, in order.
        ids: tokens of all answers.
        success: what who asks says of it; None: nothing.
        terminated: who asks ended it, and no answer was cut off.
    """

    prompt: Prompt
    columns: dict[str, Any]
    said: list[str] = field(default_factory=list)
    asked: list[Prompt] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    success: bool | None = None
    terminated: bool = False
    truncated: bool = False

    @property
    def completion(self) -> str:
        """What was answered; of several turns one a line."""
        return "\n".join(self.said)

    def shown(self, history: bool) -> Prompt:
        """Return what is asked now: with what came before, or alone."""
        if len(self.asked) == 1 or not history:
            return self.asked[-1]
        messages: list[dict[str, str]] = []
        for asked, said in zip(self.asked, [*self.said, None], strict=True):
            messages += (
                [{"role": "user", "content": asked}] if isinstance(asked, str) else map(dict, asked)
            )
            if said is not None:
                messages.append({"role": "assistant", "content": said})
        return messages


@dataclass
class Spent:
    """What conversations cost: seconds asking and answering, tokens had nobody been idle."""

    env_s: float = 0.0
    act_s: float = 0.0
    slots: int = 0


def converse(
    asks: Asks, policy: TextPolicy, seeds: Ints, draws: Draws, history: bool = True
) -> tuple[list[Turn], list[Talk], Spent]:
    """Let M members talk until each conversation has ended.

    Args:
        asks: who asks.
        policy: who answers.
        seeds: of what is asked, [M].
        draws: noise for the tokens of members at their own steps.
        history: later prompts hold all that was said before, not only what is asked now.

    Returns:
        The turns in the order of members, then time; the conversations [M]; what they cost.

    Raises:
        EnvError: an environment raised.
    """
    clock, spent = Clock(), Spent()
    talks = [Talk(problem.prompt, problem.columns) for problem in asks.reset(seeds)]
    for talk in talks:
        talk.asked.append(talk.prompt)
    turns: list[Turn] = []
    live, step = np.arange(len(seeds)), np.zeros(len(seeds), dtype=np.int64)
    known: dict[str, list[int]] = {}  # the prompt of a group is read once
    while len(live):
        shown = [talks[i].shown(history) for i in live]
        prompts = [known.setdefault(repr(p), []) or policy.encode(p) for p in shown]
        for text, ids in zip(shown, prompts, strict=True):
            known[repr(text)] = ids
        clock.lap("env")
        answers = policy.answer(prompts, lambda k, at=live: draws(step[at] + k, at))
        clock.lap("act")
        texts = [policy.decode(answer.ids) for answer in answers]
        replies = asks.step(live, texts)
        clock.lap("env")
        for b, i in enumerate(live.tolist()):
            talk, answer = talks[i], answers[b]
            state = number_of(as_text(talk.asked[-1]))
            turns.append(Turn(i, prompts[b], answer, state, float(replies.reward[b])))
            talk.said.append(texts[b])
            talk.ids += answer.ids
            talk.truncated |= not answer.ended or bool(replies.truncated[b])
            over = bool(replies.terminated[b] or replies.truncated[b])
            talk.terminated = over and not talk.truncated
            if over:
                talk.success = replies.success[b]
            else:
                talk.asked.append(replies.prompt[b])
            step[i] += len(answer.ids)
        spent.slots += len(seeds) * max(len(answer.ids) for answer in answers)
        live = live[~(replies.terminated | replies.truncated)]
    spent.env_s, spent.act_s = clock.seconds["env"], clock.seconds["act"]
    return sorted(turns, key=lambda turn: turn.member), talks, spent


def pack(
    turns: list[Turn],
    talks: list[Talk],
    spent: Spent,
    group: Ints,
    seeds: Ints,
    role: NDArray[np.int8] | None = None,
) -> Rollout:
    """Build a rollout: a row for each token that was said.

    Args:
        turns: in the order of members, then time.
        talks: the members' conversations, [M].
        spent: what they cost.
        group: of each member, [M].
        seeds: of each member, [M].
        role: of each member, [M]; None: all are learned from.

    Raises:
        NonFinite: a reward is nan or inf.
    """
    role = np.full(len(group), LEARN, dtype=np.int8) if role is None else role
    length = np.array([len(turn.answer.ids) for turn in turns])
    member = np.repeat([turn.member for turn in turns], length)
    ends = np.cumsum(length)
    reward = np.zeros(int(ends[-1]))
    reward[ends - 1] = [turn.reward for turn in turns]  # a turn is paid for at its last token
    tokens = tokens_of(turns)
    per_member = np.bincount(member, minlength=len(group))
    first = np.concatenate([[0], np.cumsum(per_member)[:-1]])
    learns = role == LEARN
    worth = bincount(member, reward, len(group))
    said = [talk.success for talk in talks]
    success = None if None in said else np.array(said, dtype=bool)[learns]
    context = np.empty(len(talks), dtype=object)
    context[:] = talks
    rollout = Rollout(
        obs=tokens,
        action=torch.tensor([i for turn in turns for i in turn.answer.ids])[:, None],
        logprob=np.concatenate([turn.answer.logprob for turn in turns]),
        reward=reward,
        member=member,
        step=np.arange(len(member)) - first[member],
        weight=learns[member].astype(np.float64),
        group=group,
        seed=seeds,
        role=role,
        terminated=np.array([talk.terminated for talk in talks]),
        truncated=np.array([talk.truncated for talk in talks]),
        episodes=Episodes(worth[learns], per_member[learns], success),
        sim_steps=len(member),
        slot_steps=spent.slots,
        env_s=spent.env_s,
        act_s=spent.act_s,
        context=context,
    )
    if not np.isfinite(reward).all():
        row = int(np.flatnonzero(~np.isfinite(reward))[0])
        raise NonFinite(
            f"non-finite reward for the answer to {talks[member[row]].prompt!r}",
            "mend the task or the environment",
            rollout,
        )
    return rollout


def tokens_of(turns: list[Turn]) -> Tokens:
    """Keep the texts of turns, and the place of every token that was said, [N, 2]."""
    prompt = np.array([len(turn.prompt) for turn in turns])
    length = np.array([len(turn.answer.ids) for turn in turns])
    start = np.concatenate([[0], np.cumsum(prompt + length)])
    text = np.repeat(np.arange(len(turns)), length)
    before = np.concatenate([[0], np.cumsum(length)[:-1]])
    place = np.arange(len(text)) - before[text] + prompt[text]
    return Tokens(
        torch.tensor([i for turn in turns for i in (*turn.prompt, *turn.answer.ids)]),
        torch.from_numpy(start),
        torch.tensor([turn.state for turn in turns]),
        torch.from_numpy(np.stack([text, place], axis=1)),
    )
