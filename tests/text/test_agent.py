"""AgileRL's document, its imports and its model changed and nothing else."""

import numpy as np
import pytest
import torch
from text.speakers import tokenizer, untrained

from grpo_cli.text import GRPO, HuggingFaceGym, save_llm_checkpoint

pytestmark = [pytest.mark.text, pytest.mark.filterwarnings("ignore::FutureWarning")]

ROWS = [{"question": f"{i}+1=", "answer": str(i + 1)} for i in range(12)]


def digits(completion, answer, question):
    return sum(c.isdigit() for c in completion) / 6


def make_gym(reward=digits):
    return HuggingFaceGym(ROWS[:8], ROWS[8:], tokenizer(), reward, data_batch_size=3)


@pytest.mark.filterwarnings("ignore:no adapter given:UserWarning")
def make_agent(env, **changes):
    settings = {"max_output_tokens": 6, "lr": 0.003, "max_grad_norm": 1.0, **changes}
    return GRPO(
        env.observation_space,
        env.action_space,
        actor_network=untrained(),
        pad_token_id=tokenizer().eos_token_id,
        device="cpu",
        batch_size=8,
        group_size=8,
        reduce_memory_peak=True,
        **settings,
    )


@pytest.mark.filterwarnings("ignore:no adapter given:UserWarning")
def test_the_two_scripts_and_the_lines_that_load(tmp_path):
    env = make_gym()
    model, tokens = untrained(), tokenizer()
    agent = GRPO(
        env.observation_space,
        env.action_space,
        actor_network=model,
        pad_token_id=tokens.eos_token_id,
        device="cpu",
        batch_size=8,
        group_size=8,
        reduce_memory_peak=True,
    )
    assert agent.actor is not model  # an adapter is around it
    untrained().save_pretrained(tmp_path / "base")
    model = untrained()
    agent = GRPO(
        env.observation_space,
        env.action_space,
        actor_network=model,
        pad_token_id=tokens.eos_token_id,
    )
    checkpoint_path = tmp_path / "path/to/checkpoint"
    save_llm_checkpoint(agent, checkpoint_path)
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base_model = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    loaded = PeftModel.from_pretrained(base_model, checkpoint_path)
    assert any("lora_A" in name for name, _ in loaded.named_parameters())


@pytest.mark.filterwarnings("ignore:no adapter given:UserWarning")
def test_the_loop_learns_and_what_it_learned_is_saved(tmp_path):
    env = make_gym()
    agent = make_agent(env)
    prompts, first = env.reset(), None
    before = {n: p.clone() for n, p in agent.policy.state_dict().items()}
    means = []
    for _ in range(12):
        ids, masks = agent.get_action(prompts)
        assert len(ids) == 3
        assert all(len(group) == 8 for group in ids)
        for group, mask in zip(ids, masks, strict=True):
            assert mask.shape == (8, group.shape[1] - 1)
        prompts, rewards = env.step(ids)
        assert rewards.shape == (3, 8)
        loss, kl = agent.learn((ids, masks, rewards))
        assert np.isfinite([loss, kl]).all()
        first = kl if first is None else first
        means.append(float(rewards.mean()))
    assert 0 <= first < kl
    assert np.mean(means[-3:]) > np.mean(means[:3])
    assert 0 <= agent.test(env) <= 1
    save_llm_checkpoint(agent, tmp_path / "saved")
    from peft import PeftModel

    loaded = dict(PeftModel.from_pretrained(untrained(), tmp_path / "saved").named_parameters())
    for name, tensor in agent.policy.state_dict().items():
        torch.testing.assert_close(loaded[name].detach(), tensor)
    assert any(not torch.equal(before[n], t) for n, t in agent.policy.state_dict().items())


def test_the_gym_shows_every_row_once_a_pass_and_keeps_the_test_set_apart():
    env = make_gym(
        lambda prompts, completions, answer: [
            float(c == a) for c, a in zip(completions, answer, strict=True)
        ]
    )

    def asked(prompts):
        return [tokenizer().decode(p["input_ids"]) for p in prompts]

    seen = []
    for _ in range(8):
        seen += asked(env.reset())
    assert sorted(seen) == sorted([row["question"] for row in ROWS[:8]] * 3)
    with env.eval_mode():
        prompts = env.reset(reset_dataloaders=True)
        assert asked(prompts) == [row["question"] for row in ROWS[8:11]]
        said = [
            torch.tensor([[*p["input_ids"].tolist(), *tokenizer()(row["answer"])["input_ids"]]])
            for p, row in zip(prompts, ROWS[8:11], strict=True)
        ]
        assert env.step(said)[1].tolist() == [[1.0]] * 3
