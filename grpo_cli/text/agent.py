"""AgileRL's names for training a language model: `GRPO`, `HuggingFaceGym`, `save_llm_checkpoint`.

    prompts = env.reset()
    while ...:
        completion_ids, action_masks = agent.get_action(prompts)
        next_prompts, rewards = env.step(completion_ids)
        loss, kl = agent.learn((completion_ids, action_masks, rewards))
        prompts = next_prompts

Source: AgileRL 2.0, `agilerl.algorithms.GRPO`. What it computes is the house's own.
"""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from grpo_cli import advantages, kl, losses, rewards
from grpo_cli.adam import Adam
from grpo_cli.entropy import bonus
from grpo_cli.errors import ConfigError
from grpo_cli.kl import KlCoef
from grpo_cli.learner import Learner, Penalty
from grpo_cli.objective import Objective
from grpo_cli.policies import Policy
from grpo_cli.randomness import ActionNoise, Purpose, rng
from grpo_cli.reference import Reference
from grpo_cli.rollout import Rollout
from grpo_cli.text.conversation import Spent, Talk, Turn, pack
from grpo_cli.text.generation import Answer, Warp
from grpo_cli.text.gym import HuggingFaceGym as HuggingFaceGym
from grpo_cli.text.gym import Prompts
from grpo_cli.text.mode import drawn
from grpo_cli.text.model import Speaker, adapted, libraries, prepared
from grpo_cli.text.policy import TextPolicy
from grpo_cli.text.turns import by_turn
from grpo_cli.update import Schedule

Experience = tuple[Sequence[Tensor], Sequence[Tensor], Tensor]
"""Ids of prompt and completion [G, L], masks of the completion [G, L - 1], rewards [P, G]."""


class GRPO:
    """Group relative policy optimization of a causal language model.

    A model without an adapter gets one (LoRA of rank 16, alpha 64), as AgileRL's does.

    Args:
        observation_space: of the gym; it says nothing that is used.
        action_space: likewise.
        actor_network: of transformers, or of PEFT around one.
        pad_token_id: fills up.
        batch_size: completions in one gradient step.
        beta: coefficient of the divergence from the model without adapter.
        lr: step size.
        clip_coef: the ratio is clipped at 1 - it and 1 + it.
        max_grad_norm: gradients are scaled down to this norm.
        update_epochs: passes over what was sampled.
        group_size: completions of each prompt, G.
        temperature: of sampling.
        reduce_memory_peak: gradients are made one completion at a time.
        max_output_tokens: a completion is cut off after so many.
        eos_token_id: ends a completion; None: what the model says, else `pad_token_id`.
        lora_config: PEFT's, in place of the default adapter.
        device: where to.
        seed: of the numbers that choose tokens, shuffle and start the adapter.
    """

    algo = "GRPO"

    def __init__(
        self,
        observation_space: spaces.Space | None = None,
        action_space: spaces.Space | None = None,
        actor_network: Any = None,  # noqa: ANN401 - of transformers
        pad_token_id: int = 0,
        *,
        batch_size: int = 8,
        beta: float = 0.001,
        lr: float = 5e-7,
        clip_coef: float = 0.2,
        max_grad_norm: float = 0.1,
        update_epochs: int = 1,
        group_size: int = 8,
        temperature: float = 0.9,
        reduce_memory_peak: bool = False,
        max_output_tokens: int = 1024,
        eos_token_id: int | None = None,
        lora_config: Any = None,  # noqa: ANN401 - of PEFT
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        _, peft = libraries()
        if actor_network is None:
            raise ConfigError("GRPO needs a model", "give actor_network=")
        start = int(rng(seed, Purpose.INIT).integers(2**62))
        if lora_config is not None:
            actor_network = peft.get_peft_model(actor_network, lora_config)
        elif not isinstance(actor_network, peft.PeftModel):
            warnings.warn("no adapter given: a LoRA of rank 16 is put around it", stacklevel=2)
            actor_network = adapted(actor_network, start, 16, 64, [])
        place = torch.device(device)
        ends = _Ends(eos_token_id, pad_token_id)
        bf16 = actor_network.dtype == torch.bfloat16
        speaker = prepared(actor_network, ends, place, bf16, False, pad_token_id)
        self.observation_space, self.action_space = observation_space, action_space
        self.batch_size, self.group_size, self.seed = batch_size, group_size, seed
        self.policy = TextPolicy(
            speaker,
            Warp(temperature, max_new_tokens=max_output_tokens),
            micro_batch=1 if reduce_memory_peak else batch_size,
            reduce_memory_peak=reduce_memory_peak,
        )
        self.update = 0
        policy = cast("Policy", self.policy)
        self._learner = Learner(
            policy,
            Adam(policy.parameters(), lr=lr),
            Objective(
                loss=partial(
                    losses.clip,
                    eps_low=clip_coef,
                    ratio="step",
                    aggregate="member_mean",
                    length=None,
                ),
                kl=kl.k3,
                entropy=bonus,
            ),
            Schedule(update_epochs, 1, None, None, max_grad_norm),
            lr=lr,
            anneal=False,
            seed=seed,
            penalty=Penalty(Reference(policy), KlCoef(beta)) if beta else None,
        )

    @property
    def actor(self) -> Any:  # noqa: ANN401 - of PEFT
        """The model with its adapter."""
        return self.policy.model

    def get_action(
        self, states: Prompts, training: bool = True
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Answer prompts, each `group_size` times in training, else once and greedily.

        Args:
            states: what the gym gave: a mapping with `input_ids` for each prompt.
            training: see above.

        Returns:
            For each prompt, ids of prompt and completion [G, L], and masks of the completion, which
            belong to the tokens from the second on, [G, L - 1].
        """
        size = self.group_size if training else 1
        prompts = [_ids(state) for state in states for _ in range(size)]
        noise = None
        if training:
            generators = [
                rng(self.seed, Purpose.ACTION, self.update, n) for n in range(len(states))
            ]
            noise = ActionNoise(generators, size, width=1)
        every, draws = np.arange(len(prompts)), drawn(noise)
        answers = self.policy.answer(prompts, lambda k: draws(np.full(len(every), k), every))
        ids, masks = [], []
        for first in range(0, len(prompts), size):
            group = zip(prompts[first : first + size], answers[first : first + size], strict=True)
            rows = [(prompt, answer.ids) for prompt, answer in group]
            longest = max(len(p) + len(a) for p, a in rows)
            whole = torch.full((size, longest), self.policy.speaker.pad)
            mask = torch.zeros(size, longest, dtype=torch.bool)
            for row, (p, a) in enumerate(rows):
                whole[row, : len(p) + len(a)] = torch.tensor([*p, *a])
                mask[row, len(p) : len(p) + len(a)] = True
            ids.append(whole)
            masks.append(mask[:, 1:])
        return ids, masks

    def learn(self, experiences: Experience) -> tuple[float, float]:
        """Learn from completions and their rewards.

        Args:
            experiences: what `get_action` gave, and the rewards [P, G].

        Returns:
            The loss and the divergence from the model without adapter, nats.
        """
        rollout = _rollout(*experiences)
        found = advantages.score(
            rollout,
            rewards.none,
            "batch",
            by_turn(
                partial(
                    advantages.peer, value="return", key="group", baseline="mean", fallback=(),
                    scale="group", ddof=1,
                )
            ),
            1.0,
        )  # fmt: skip
        steps = -(-len(rollout.group) // self.batch_size)
        self._learner.schedule = Schedule(
            self._learner.schedule.epochs, steps, None, None, self._learner.schedule.max_grad_norm
        )
        metrics = self._learner(found, self.update, 0.0)
        self.update += 1
        return metrics.get("train/loss", 0.0), metrics.get("train/kl", 0.0)

    def test(self, env: HuggingFaceGym, loop: int = 1) -> float:
        """Return the mean reward of greedy completions on held-out prompts."""
        with env.eval_mode():
            prompts, worth = env.reset(), []
            for _ in range(loop):
                ids, _ = self.get_action(prompts, training=False)
                prompts, rewards = env.step(ids)
                worth.append(float(rewards.mean()))
        return float(np.mean(worth))


def save_llm_checkpoint(agent: GRPO, checkpoint_path: str | Path | None) -> None:
    """Write the agent's adapter as PEFT reads it.

    Args:
        agent: trained.
        checkpoint_path: a folder; None: `saved_checkpoints/GRPO`.

    Raises:
        OSError: it cannot be written.
    """
    folder = Path(checkpoint_path or f"saved_checkpoints/{agent.algo}")
    agent.policy.speaker.save(folder)


class _Ends:
    """What stands for a tokenizer that nobody gave: which token ends a completion."""

    def __init__(self, eos: int | None, pad: int) -> None:
        self.eos_token_id = eos
        self.pad_token_id = pad

    def save_pretrained(self, folder: Path) -> None:
        """Write nothing."""


def _ids(state: Any) -> list[int]:  # noqa: ANN401 - a mapping of tensors or lists
    ids = torch.as_tensor(state["input_ids"]).flatten()
    mask = state.get("attention_mask")
    return (ids if mask is None else ids[torch.as_tensor(mask).flatten().bool()]).tolist()


def _rollout(ids: Sequence[Tensor], masks: Sequence[Tensor], reward: Tensor) -> Rollout:
    """Build a rollout of what was said; log-probabilities are measured when it is learned from."""
    worth = torch.as_tensor(reward, dtype=torch.float64).reshape(-1)
    turns, talks, group = [], [], []
    for number, (texts, shown) in enumerate(zip(ids, masks, strict=True)):
        for text, mask in zip(texts, shown, strict=True):
            place = torch.nonzero(mask)[:, 0] + 1
            first, end = int(place[0]), int(place[-1]) + 1
            said = text[first:end].tolist()
            answer = Answer(said, np.zeros(len(said), dtype=np.float32), ended=True)
            paid = float(worth[len(turns)])
            turns.append(Turn(len(turns), text[:first].tolist(), answer, number, paid))
            talks.append(Talk("", {}, ids=said, terminated=True))
            group.append(number)
    every = np.arange(len(turns))
    return pack(turns, talks, Spent(slots=1), np.array(group), every)


__all__ = ["GRPO", "HuggingFaceGym", "Speaker", "save_llm_checkpoint"]
