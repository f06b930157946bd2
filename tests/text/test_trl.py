"""A step's advantages and loss are those of TRL's GRPOTrainer on the same rollouts."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from text.speakers import moved, policy, sampled, tokenizer, untrained

from grpo_cli import advantages, rewards
from grpo_cli.config.files import shipped
from grpo_cli.entropy import bonus
from grpo_cli.kl import k3
from grpo_cli.losses import cispo, clip
from grpo_cli.objective import Objective
from grpo_cli.rollout import Scored
from grpo_cli.text.asking import Once
from grpo_cli.text.tasks import Arithmetic
from grpo_cli.text.turns import by_turn
from grpo_cli.update import _batch

# TRL and transformers warn of each other.
pytestmark = [pytest.mark.text, pytest.mark.filterwarnings("ignore")]

G, PROMPTS, MOST = 4, 3, 6


def worth(completions, **_):
    """Some numbers that differ: digits that were said."""
    return [float(sum(c.isdigit() for c in text)) for text in completions]


def trainer(model, folder, **settings):
    import trl
    from datasets import Dataset

    args = trl.GRPOConfig(
        output_dir=str(folder), num_generations=G, per_device_train_batch_size=G * PROMPTS,
        max_completion_length=MOST, report_to=[], use_cpu=True, bf16=False,
        activation_checkpointing=False, temperature=0.9, steps_per_generation=1, disable_tqdm=True,
        logging_strategy="no", save_strategy="no", **settings,
    )  # fmt: skip
    data = Dataset.from_list([{"prompt": "1+1="}] * PROMPTS)
    return trl.GRPOTrainer(
        model, worth, args=args, train_dataset=data, processing_class=tokenizer()
    )


def theirs(trains, rollout, old, reference):
    """What TRL makes of our completions: advantages [M] and the loss."""
    talks = list(rollout.context)
    trains._generate_single_turn = lambda *a, **k: ([talk.ids for talk in talks], None)
    trains.current_gradient_accumulation_steps = 1
    trains.model.train()
    inputs = trains._generate_and_score_completions([{"prompt": t.prompt} for t in talks])
    mask = inputs["completion_mask"].bool()

    def padded(rows):
        out = torch.zeros(mask.shape)
        out[mask] = rows
        return out

    inputs["old_per_token_logps"] = padded(old)
    if reference is not None:
        inputs["ref_per_token_logps"] = padded(reference)
    with torch.no_grad():
        return inputs["advantages"], trains._compute_loss(trains.model, inputs)


LOSSES = {
    "grpo": (clip, {}),
    "dapo": (clip, {"epsilon_high": 0.28}),
    "dr_grpo": (clip, {}),
    "bnpo": (clip, {}),
    "cispo": (cispo, {"epsilon_high": 5.0}),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", ["group", "none"])
def test_advantages_and_loss_are_those_of_trl(name, scale, tmp_path):
    function, settings = LOSSES[name]
    beta = 0.04 if name in ("dapo", "bnpo") else 0.0
    from transformers import AutoModelForCausalLM

    untrained().save_pretrained(tmp_path)  # TRL loads the reference from where the model came from
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    learns = policy(model, temperature=0.9, most=MOST)
    rollout = sampled(learns, Once(Arithmetic(digits=3)), PROMPTS, G)
    paid = np.array(worth([talk.completion for talk in rollout.context]))
    last = np.append(rollout.first_row[1:], len(rollout.reward)) - 1
    reward = np.zeros(len(rollout.reward))
    reward[last] = paid
    peer = partial(advantages.peer, **{
        **{k: v for k, v in shipped("advantage", "outcome").items() if k != "name"},
        "scale": scale, "eps": 1e-4, "ddof": 1,
    })  # fmt: skip
    rollout = replace(rollout, reward=reward)
    scored: Scored = advantages.score(rollout, rewards.none, "batch", by_turn(peer), 1.0)
    frozen = learns.frozen() if beta else None
    batch, member, _ = _batch(learns, scored, frozen, 1.0)
    lengths = np.bincount(member)
    batch = replace(
        batch, member=torch.from_numpy(member), num_members=len(lengths), lengths=tuple(lengths)
    )
    moved(learns)  # the ratio is not 1
    node = {k: v for k, v in shipped("loss", name).items() if k != "name"}
    if node.get("aggregate") == "constant":
        node["length"] = float(MOST)
    objective = Objective(partial(function, **node), k3, bonus, kl_coef=beta)
    with torch.no_grad():
        ours, _ = objective(learns.outlook(batch), batch)
    trains = trainer(model, tmp_path, loss_type=name, beta=beta, scale_rewards=scale, **settings)
    reference = None if batch.reference is None else batch.reference[:, 0]
    advantage, loss = theirs(trains, rollout, batch.old_logprob, reference)
    np.testing.assert_allclose(scored.advantage[rollout.first_row], advantage, rtol=1e-5, atol=1e-6)
    assert abs(float(ours)) > 1e-5
    torch.testing.assert_close(ours, loss, rtol=1e-4, atol=1e-6)
