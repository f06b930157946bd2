"""A policy that speaks: padding, parts, noise by address, the reference, what is saved."""

import numpy as np
import pytest
import torch
from text.speakers import moved, policy, sampled, speaker, tokenizer, untrained

from grpo_cli.entropy import bonus
from grpo_cli.gradient import by_graph, gradient_of
from grpo_cli.kl import k3
from grpo_cli.losses import clip
from grpo_cli.objective import Objective
from grpo_cli.rollout import Batch
from grpo_cli.text.asking import Once
from grpo_cli.text.generation import Warp, draw, padded
from grpo_cli.text.tasks import Arithmetic
from grpo_cli.tokens import Tokens

pytestmark = pytest.mark.text


def asks():
    return Once(Arithmetic(digits=3))


def alone(learns, rollout):
    """Log-probabilities of each text by itself, without any padding, [N]."""
    tokens, found = rollout.obs, []
    for text in range(len(tokens.state)):
        ids = tokens.ids[tokens.start[text] : tokens.start[text + 1]]
        with torch.no_grad():
            logits = learns.model(ids[None]).logits[0] / learns.warp.temperature
        logp = logits.log_softmax(-1)[:-1].gather(1, ids[1:, None])[:, 0]
        found.append(logp[tokens.index[tokens.index[:, 0] == text, 1] - 1])
    return torch.cat(found)


@pytest.mark.parametrize("micro_batch", [1, 5, 100])
def test_padding_changes_nothing(micro_batch):
    learns = policy(temperature=0.7, micro_batch=micro_batch)
    rollout = sampled(learns, asks())
    lengths = {int(n) for n in np.diff(rollout.obs.start)}
    assert len(lengths) > 1  # there is padding
    with torch.no_grad():
        together = learns(rollout.obs)[:, 0]
    torch.testing.assert_close(together, alone(learns, rollout), atol=1e-5, rtol=0)
    # And what the cache said while generating, padded on the left, is the same.
    torch.testing.assert_close(torch.from_numpy(rollout.logprob), together, atol=1e-5, rtol=0)


def test_rows_are_what_was_answered_and_nothing_else():
    learns = policy()
    rollout = sampled(learns, asks())
    said = [i for talk in rollout.context for i in talk.ids]
    assert rollout.action[:, 0].tolist() == said
    eos, most = tokenizer().eos_token_id, learns.warp.max_new_tokens
    for talk in rollout.context:
        assert eos not in talk.ids[:-1]
        assert talk.truncated == (talk.ids[-1] != eos)
        assert len(talk.ids) <= most
        assert len(talk.ids) == most or not talk.truncated


def test_entropy_is_exact():
    learns = policy()
    rollout = sampled(learns, asks(), prompts=1, size=2)
    text, place = rollout.obs.index[0].tolist()
    ids = rollout.obs.ids[rollout.obs.start[text] :][:place]
    with torch.no_grad():
        p = learns.model(ids[None]).logits[0, -1].softmax(-1)
        said = learns(rollout.obs)[0, 1]
    torch.testing.assert_close(said, -(p * p.log()).sum(), atol=1e-5, rtol=1e-5)


def batch_of(learns, rollout, reference=None):
    advantage = torch.randn(len(rollout.reward), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        old = learns(rollout.obs)[:, 0]
        reference = None if reference is None else reference(rollout.obs)
    lengths = np.bincount(rollout.member)
    return Batch(
        rollout.obs, rollout.action, old, advantage, torch.ones(len(old)), reference,
        torch.from_numpy(rollout.member), len(lengths), tuple(lengths.tolist()),
    )  # fmt: skip


@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize(
    ("ratio", "aggregate"), [("step", "member_mean"), ("sequence", "step_mean")]
)
def test_gradient_part_by_part_is_the_gradient(adapter, ratio, aggregate):
    learns = policy(adapter=adapter, micro_batch=3, reduce_memory_peak=True, entropy_gradient=True)
    batch = batch_of(learns, sampled(learns, asks()), learns.frozen())
    moved(learns)

    def loss(new, batch):
        return clip(new, batch, ratio=ratio, aggregate=aggregate)

    loss.by_member = {}
    objective = Objective(loss, k3, bonus, kl_coef=0.1, entropy_coef=0.01)
    whole = by_graph(learns, objective, batch)
    wanted = [p.grad.clone() for p in learns.parameters()]
    parts = gradient_of(learns, objective)(batch)
    torch.testing.assert_close(parts[0], whole[0])
    assert max(float(g.abs().max()) for g in wanted) > 1e-3
    for parameter, grad in zip(learns.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, grad, atol=1e-5, rtol=1e-4)


def test_part_by_part_keeps_less():
    """Bytes that torch's graph keeps at the same time, at most."""
    kept = {}
    for parts in (False, True):
        learns = policy(micro_batch=1, reduce_memory_peak=parts)
        batch = batch_of(learns, sampled(learns, asks()))
        objective = Objective(lambda new, batch: clip(new, batch), k3, bonus)
        live = [0, 0]

        class Kept:
            def __init__(self, tensor, live=live):
                self.tensor, self.live = tensor, live
                live[0] += tensor.nbytes
                live[1] = max(live)

            def __del__(self):
                self.live[0] -= self.tensor.nbytes

        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            gradient_of(learns, objective)(batch)
        kept[parts] = live[1]
    assert kept[True] < kept[False] / 4  # 12 texts


def test_checkpointing_changes_no_gradient():
    found = []
    for checkpointing in (False, True):
        learns = policy(adapter=True, checkpointing=checkpointing)
        batch = batch_of(learns, sampled(learns, asks()))
        by_graph(learns, Objective(lambda new, batch: clip(new, batch), k3, bonus), batch)
        found.append([p.grad.clone() for p in learns.parameters()])
        assert not learns.model.training
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_noise_chooses_tokens():
    logits = torch.log(torch.tensor([[0.2, 0.3, 0.5]])).repeat(4, 1)
    assert draw(logits, torch.tensor([0.0, 0.19, 0.21, 0.999])).tolist() == [0, 0, 1, 2]
    closed = torch.tensor([[0.0, -torch.inf, 0.0, -torch.inf]])
    assert draw(closed.repeat(2, 1), torch.tensor([0.7, 1 - 1e-17])).tolist() == [2, 2]


def test_the_same_noise_says_the_same_however_it_is_padded():
    learns = policy()
    noise = np.random.default_rng(0).random((6, 2))
    prompts = [learns.encode("12+3="), learns.encode("7+700=")]
    both = learns.answer(prompts, lambda k: noise[k])
    one = learns.answer(prompts[:1], lambda k: noise[k][:1])
    assert both[0].ids == one[0].ids
    nothing = learns.answer(prompts[:1], lambda k: np.array([np.nan]))
    with torch.no_grad():
        first = learns.model(torch.tensor(prompts[:1])).logits[0, -1].argmax()
    assert nothing[0].ids[0] == first


def test_top_k_of_one_is_greedy():
    model = untrained()
    learns = policy(model)
    learns.warp = Warp(top_k=1, max_new_tokens=6)
    prompt = [learns.encode("1+1=")]
    sampled_one = learns.answer(prompt, lambda k: np.array([0.99]))
    greedy = learns.answer(prompt, lambda k: np.array([np.nan]))
    assert sampled_one[0].ids == greedy[0].ids


def test_padding_is_on_the_left():
    ids, mask = padded([[5, 6, 7], [8]], 0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_the_reference_of_an_adapter_is_the_model_without_it():
    model = untrained()
    learns = policy(model, adapter=True)
    rollout = sampled(learns, asks())
    reference = learns.frozen()
    with torch.no_grad():
        before = learns(rollout.obs)
    torch.testing.assert_close(reference(rollout.obs), before)  # a fresh adapter changes nothing
    moved(learns)
    with torch.no_grad():
        assert not torch.allclose(learns(rollout.obs), before, atol=1e-3)
    torch.testing.assert_close(reference(rollout.obs), before)
    assert reference.state_dict() == {}


def test_all_weights_have_a_reference_of_their_own():
    learns = policy()
    rollout = sampled(learns, asks())
    reference = learns.frozen()
    with torch.no_grad():
        before = reference(rollout.obs)
    moved(learns)
    with torch.no_grad():
        torch.testing.assert_close(reference(rollout.obs), before)
    assert set(reference.state_dict()) == set(learns.state_dict())


def test_state_of_an_adapter_is_the_adapter():
    learns = policy(adapter=True)
    state = {name: tensor.clone() for name, tensor in moved(learns).state_dict().items()}
    assert state
    assert all("lora_" in name for name in state)
    other = policy(adapter=True)
    other.load_state_dict(state)
    rollout = sampled(learns, asks())
    with torch.no_grad():
        torch.testing.assert_close(other(rollout.obs), learns(rollout.obs))
    with pytest.raises(RuntimeError):
        policy().load_state_dict(state)


def test_half_precision_computes_and_learns():
    learns = policy()
    learns.speaker = speaker(learns.model, bf16=True)
    rollout = sampled(learns, asks())
    batch = batch_of(learns, rollout)
    by_graph(learns, Objective(lambda new, batch: clip(new, batch), k3, bonus), batch)
    assert all(
        torch.isfinite(p.grad).all() and p.dtype == torch.float32 for p in learns.parameters()
    )


def test_places_are_cut_and_joined():
    learns = policy()
    one, two = sampled(learns, asks(), 1, 2), sampled(learns, asks(), 2, 2)
    from grpo_cli.rollout import join

    both = join([one, two])
    with torch.no_grad():
        apart = torch.cat([learns(one.obs), learns(two.obs)])
        torch.testing.assert_close(learns(both.obs), apart, atol=1e-5, rtol=1e-5)
    assert isinstance(both.obs, Tokens)
    kept = both.members(np.arange(len(both.group)) % 2 == 0)
    assert [talk.ids for talk in kept.context] == [talk.ids for talk in both.context[::2]]
    assert kept.action[:, 0].tolist() == [i for talk in kept.context for i in talk.ids]
