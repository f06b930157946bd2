"""The same numbers and gradients as the published formulas, on random ragged inputs."""

from functools import partial

import padded
import pytest
import torch
from builders import make_member_batch

from grpo_cli import losses
from grpo_cli.distributions import Categorical, Outlook

LENGTHS = (5, 1, 9, 3, 7, 7)
FAMILY = Categorical(3)
SEQUENCE = partial(losses.clip, eps_low=3e-4, eps_high=4e-4, ratio="sequence")

# Ours, the published one, how far policies are apart, and whether a member has one advantage.
CASES = {
    "ppo": (losses.clip, padded.clip(padded.token_mean), 0.3, False),
    "dapo": (
        partial(losses.clip, eps_high=0.28),
        padded.clip(padded.token_mean, high=0.28),
        0.3,
        False,
    ),
    "grpo": (
        partial(losses.clip, aggregate="member_mean"),
        padded.clip(padded.sequence_mean),
        0.3,
        False,
    ),
    "dr_grpo": (
        partial(losses.clip, aggregate="constant", length=9.0),
        padded.clip(padded.constant(9)),
        0.3,
        False,
    ),
    "verl seq-mean-token-sum": (
        partial(losses.clip, aggregate="member_sum"),
        padded.clip(padded.sequence_sum),
        0.3,
        False,
    ),
    "delta": (
        partial(losses.clip, delta=1.5),
        padded.clip(padded.token_mean, delta=1.5),
        0.5,
        False,
    ),
    "dual clip": (partial(losses.clip, delta=3.0), padded.dual_clip(3.0), 1.0, False),
    "gspo": (partial(SEQUENCE, aggregate="member_mean"), padded.gspo, 3e-4, True),
    "luspo": (partial(SEQUENCE, aggregate="member_sum"), padded.luspo, 3e-4, True),
    "gmpo": (losses.gmpo, padded.gmpo, 0.5, True),
    "cispo": (losses.cispo, padded.cispo, 1.2, False),
    "cispo, both bounds": (
        partial(losses.cispo, eps_low=0.2, eps_high=0.3),
        padded.cispo_both,
        0.4,
        False,
    ),
    "sapo": (losses.sapo, padded.sapo, 0.5, False),
    "vespo": (losses.vespo, padded.vespo, 0.2, True),
    "reinforce": (losses.reinforce, padded.reinforce, 0.3, False),
    "kl_cov": (partial(losses.kl_cov, cov_frac=0.2), padded.kl_cov(0.2, 1.0), 0.3, False),
    "clip_cov": (
        partial(losses.clip_cov, cov_frac=1.0, cov_low=0.1, cov_high=0.6),
        padded.clip_cov(0.1, 0.6),
        0.3,
        False,
    ),
}


def ragged(seed, spread, whole):
    """A packed batch, its new log-probabilities, and the same in padded form with its mask."""
    noise = torch.Generator().manual_seed(seed)
    batch = make_member_batch(LENGTHS, seed)
    if whole:
        one = torch.randn(len(LENGTHS), generator=noise)
        batch = make_member_batch(LENGTHS, seed, advantage=one[batch.member])
    new = batch.old_logprob + spread * torch.randn(len(batch.weight), generator=noise)
    mask = torch.zeros(len(LENGTHS), max(LENGTHS))
    for row, length in enumerate(LENGTHS):
        mask[row, :length] = 1

    def pad(column):
        return torch.full_like(mask, 7.0).masked_scatter(mask.bool(), column)

    return batch, new, mask, pad


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", range(5))
def test_equals_the_published_formula(name, seed):
    ours, published, spread, whole = CASES[name]
    batch, new, mask, pad = ragged(seed, spread, whole)
    packed = new.clone().requires_grad_()
    theirs = pad(new).requires_grad_()
    loss, measured = ours(Outlook(FAMILY, torch.zeros(len(new), 3), packed), batch)
    expected = published(theirs, pad(batch.old_logprob), pad(batch.advantage), mask)
    loss.backward()
    expected.backward()
    assert packed.grad is not None
    assert theirs.grad is not None
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
    assert torch.allclose(packed.grad, theirs.grad[mask.bool()], atol=1e-6)
    assert measured["policy_gradient_loss"].item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_trajectory_ratios_summed_over_steps_have_the_gradient_of_rloo(seed):
    batch, new, mask, pad = ragged(seed, 0.05, True)
    packed, theirs = new.clone().requires_grad_(), pad(new).requires_grad_()
    ours = partial(losses.clip, ratio="trajectory", aggregate="member_sum")
    ours(Outlook(FAMILY, torch.zeros(len(new), 3), packed), batch)[0].backward()
    padded.rloo(theirs, pad(batch.old_logprob), pad(batch.advantage), mask).backward()
    assert packed.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(packed.grad, theirs.grad[mask.bool()], atol=1e-6)
    assert packed.grad.abs().max() > 0


def test_the_inputs_reach_every_branch():
    # What is asserted above would be empty if nothing were clipped, bounded or held back.
    for name in ("ppo", "gspo", "gmpo", "cispo, both bounds"):
        ours, _, spread, whole = CASES[name]
        batch, new, _, _ = ragged(0, spread, whole)
        measured = ours(Outlook(FAMILY, torch.zeros(len(new), 3), new), batch)[1]
        assert 0 < measured["clip_ratio/region_mean"].item() < 1, name
    for name in ("kl_cov", "clip_cov"):
        ours, _, spread, whole = CASES[name]
        batch, new, _, _ = ragged(0, spread, whole)
        measured = ours(Outlook(FAMILY, torch.zeros(len(new), 3), new), batch)[1]
        assert 0 < measured["clip_ratio/cov_mean"].item() < 1, name
