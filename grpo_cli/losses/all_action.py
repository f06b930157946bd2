"""The policy gradient summed over the actions of a state, not only those that were sampled."""

from torch import Tensor

from grpo_cli.distributions import Outlook
from grpo_cli.losses.aggregate import aggregated
from grpo_cli.losses.clip import drift
from grpo_cli.losses.members import by_row
from grpo_cli.rollout import Batch, Mean


@by_row
def all_action(new: Outlook, batch: Batch) -> tuple[Tensor, dict[str, Mean]]:
    """Loss -sum_a pi_new(a|s) A(s, a), averaged over states.

    Rows are all actions of the visited states and carry pi_old(a|s) as weight, so that the
    unclipped ratio times the weight is pi_new(a|s), and the weights of a state sum to 1. On sampled
    rows of weight 1 this is the unclipped surrogate.

    Source: Sutton et al. 2001, "Comparing policy-gradient algorithms"; Allen et al. 2017
    (mean actor critic, arXiv:1709.00503).

    Args:
        new: what the policy now thinks, B rows.
        batch: actions, advantages, old log-probabilities and weights, B rows.
    """
    log_ratio = new.logprob - batch.old_logprob
    loss, loss_mean = aggregated(-log_ratio.exp() * batch.advantage, batch)
    return loss, {"policy_gradient_loss": loss_mean, "approx_kl": drift(log_ratio, batch)}
