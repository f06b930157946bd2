"""One pass over a rollout between sampling and scoring, without gradient."""

from collections.abc import Collection

import torch

from grpo_cli import kl
from grpo_cli.clock import part
from grpo_cli.distributions import Outlook
from grpo_cli.policies import Policy
from grpo_cli.rollout import Batch, Floats, Rollout, each
from grpo_cli.update import rowwise

NEEDS = ("kl", "reference_logprob", "score_norm")


@part("ask the policy")
@torch.no_grad()
def survey(
    policy: Policy,
    reference: Policy | None,
    rollout: Rollout,
    needs: Collection[str],
    divergence: kl.Estimator = kl.exact,
) -> dict[str, Floats]:
    """Measure what scoring needs to know of the policy that acted, and nothing else.

    Args:
        policy: has acted, and not learned since.
        reference: whom it is compared with; None where no need asks for it.
        rollout: N rows.
        needs: `kl`, the divergence from the reference in nats | `reference_logprob`, of the
            actions in nats | `score_norm`, see `Family.score_norm`.
        divergence: estimator of `kl`.

    Returns:
        The needs by name, [N] each.
    """
    obs = each(rollout.obs, lambda entry: entry.to(policy.device))
    action, member = rollout.action.to(policy.device), rollout.member
    family, found = policy.family, {}
    other = None if reference is None else rowwise(reference, obs, member)
    params = rowwise(policy, obs, member) if {"kl", "score_norm"} & set(needs) else None
    if params is not None and "score_norm" in needs:
        found["score_norm"] = family.score_norm(params, action)
    if other is not None and "reference_logprob" in needs:
        found["reference_logprob"] = family.logprob(other, action)
    if params is not None and "kl" in needs:
        logprob = family.logprob(params, action)
        ones = torch.ones_like(logprob)
        batch = Batch(obs, action, logprob, torch.zeros_like(ones), ones, other)
        found["kl"] = divergence(Outlook(family, params, logprob), batch)
    return {name: value.double().cpu().numpy() for name, value in found.items()}
