"""The losses as TRL and verl publish them: padded [members, steps] with a mask, written anew.

Each is `f(logprob, old, advantage, mask) -> scalar`; ours work on packed rows.
"""

import math

import torch


def token_mean(loss, mask):
    return (loss * mask).sum() / mask.sum()


def sequence_mean(loss, mask):
    return ((loss * mask).sum(1) / mask.sum(1)).mean()


def sequence_sum(loss, mask):
    return (loss * mask).sum(1).mean()


def constant(length):
    return lambda loss, mask: (loss * mask).sum() / (len(mask) * length)


def surrogate(ratio, advantage, low, high, delta=None):
    """TRL: the two-sided clip bounds the free ratio."""
    free = ratio if delta is None else torch.clamp(ratio, max=delta)
    return -torch.min(free * advantage, torch.clamp(ratio, 1 - low, 1 + high) * advantage)


def clip(aggregate, low=0.2, high=0.2, delta=None):
    def loss(logprob, old, advantage, mask):
        return aggregate(surrogate((logprob - old).exp(), advantage, low, high, delta), mask)

    return loss


def dual_clip(c, low=0.2, high=0.2):
    """verl's vanilla loss: for bad actions the loss is never more than -c A."""

    def loss(logprob, old, advantage, mask):
        clipped = surrogate((logprob - old).exp(), advantage, low, high)
        bounded = torch.min(-c * advantage, clipped)
        return token_mean(torch.where(advantage < 0, bounded, clipped), mask)

    return loss


def gspo(logprob, old, advantage, mask):
    """TRL, importance_sampling_level=sequence; the gradient goes through the whole mean."""
    mean = ((logprob - old) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True)
    return sequence_mean(surrogate(mean.exp(), advantage, 3e-4, 4e-4), mask)


def luspo(logprob, old, advantage, mask):
    """TRL: one loss a sequence, times its length."""
    length = mask.sum(1)
    mean = ((logprob - old) * mask).sum(1) / length
    return (surrogate(mean.exp(), advantage[:, 0], 3e-4, 4e-4) * length).mean()


def rloo(logprob, old, advantage, mask):
    """TRL's RLOO: one ratio a sequence, the product of its tokens' ratios."""
    ratio = ((logprob - old) * mask).sum(1).exp()
    return surrogate(ratio, advantage[:, 0], 0.2, 0.2).mean()


def gmpo(logprob, old, advantage, mask):
    """verl's geo_mean, clipped in log space by the sign of the advantage."""
    gap, sign = logprob - old, torch.sign(advantage)
    least = sign * torch.min(sign * gap, sign * torch.clamp(gap, -0.4, 0.4))
    ratio = ((least * mask).sum(1) / mask.sum(1)).exp()
    return (-(advantage * mask).sum(1) / mask.sum(1) * ratio).mean()


def cispo(logprob, old, advantage, mask):
    """TRL: only an upper bound, 5, on a weight without gradient."""
    weight = torch.clamp((logprob - old).exp(), max=5.0).detach()
    return token_mean(-weight * advantage * logprob, mask)


def cispo_both(logprob, old, advantage, mask):
    """verl: bounds on both sides."""
    weight = torch.clamp((logprob - old).exp(), 0.8, 1.3).detach()
    return token_mean(-weight * advantage * logprob, mask)


def sapo(logprob, old, advantage, mask):
    ratio = (logprob - old).exp()
    good = torch.sigmoid(1.0 * (ratio - 1)) * 4 / 1.0
    bad = torch.sigmoid(1.05 * (ratio - 1)) * 4 / 1.05
    return sequence_mean(-torch.where(advantage > 0, good, bad) * advantage, mask)


def vespo(logprob, old, advantage, mask):
    """TRL: Gamma-shaped kernel of the sequence's product ratio; (k, lambda) by the sign."""
    log_w = ((logprob - old) * mask).sum(1, keepdim=True).clamp(math.log(1e-8), 20)
    k = torch.where(advantage >= 0, 2.0, 3.0)
    decay = torch.where(advantage >= 0, 3.0, 2.0)
    w = log_w.exp()
    phi = (decay.exp() * w**k * (-decay * w).exp()).detach()
    return token_mean(-phi * advantage * logprob, mask)


def reinforce(logprob, old, advantage, mask):
    return token_mean(-logprob * advantage, mask)


def covariance(logprob, advantage, mask):
    kept = mask.bool()
    lead = advantage - advantage[kept].mean()
    cov = lead * (logprob - logprob[kept].mean()).detach()
    return cov.masked_fill(~kept, -math.inf)


def kl_cov(share, coef):
    def loss(logprob, old, advantage, mask):
        gap = logprob - old
        count = max(1, int(mask.sum() * share))
        top = covariance(logprob, advantage, mask).flatten().topk(count).indices
        penalty = torch.zeros(mask.numel()).index_fill(0, top, coef).view_as(mask)
        return token_mean(-gap.exp() * advantage + penalty * gap.abs(), mask)

    return loss


def clip_cov(low, high):
    """verl's with a share so large that every candidate is taken, which makes it certain."""

    def loss(logprob, old, advantage, mask):
        ratio = (logprob - old).exp()
        free, clipped = -advantage * ratio, -advantage * ratio.clamp(0.8, 1.2)
        cov = covariance(logprob, advantage, mask).masked_fill(clipped > free, -math.inf)
        correction = torch.where((cov > low) & (cov < high), 0.0, 1.0)
        return token_mean(torch.max(free, clipped) * correction, mask)

    return loss
