import math
from functools import partial

import pytest
import torch
from builders import make_member_batch

from grpo_cli import entropy, losses
from grpo_cli.distributions import Categorical, Outlook
from grpo_cli.objective import Objective


def of_members(new, batch):
    """A distance of 1 at the only step of member 0, and of .1 at the nine steps of member 1."""
    return torch.where(batch.member == 0, 1.0, 0.1)


@pytest.mark.parametrize(
    ("loss", "penalty"),
    [
        (losses.clip, 0.19),  # (1 + 9 * .1) / 10 steps
        (partial(losses.clip, aggregate="member_mean"), 0.55),  # (1 + .1) / 2 members
        (partial(losses.clip, aggregate="member_sum"), 0.95),  # (1 + .9) / 2 members
        (partial(losses.clip, aggregate="constant", length=100), 0.0095),
        (losses.gmpo, 0.19),  # nothing said of it
    ],
)
def test_a_penalty_is_summed_up_as_the_loss_is(loss, penalty):
    """DeepSeekMath (arXiv:2402.03300), equation 3: the KL stands in each member's mean."""
    batch = make_member_batch((1, 9), weight=torch.ones(10))
    new = Outlook(Categorical(3), torch.zeros(10, 3), batch.old_logprob)
    plain, _ = Objective(loss, of_members, entropy.bonus)(new, batch)
    total, measured = Objective(loss, of_members, entropy.bonus, kl_coef=2.0)(new, batch)
    assert (total - plain).item() == pytest.approx(2 * penalty, abs=1e-6)
    assert measured["kl"].item() == pytest.approx(0.19)  # over all steps, whatever the loss does


def test_the_kl_stop_can_act_on_a_loss_that_measures_nothing():
    batch = make_member_batch((5,))
    new = Outlook(Categorical(3), torch.zeros(5, 3), batch.old_logprob + 0.3)
    own = Objective(lambda new, batch: (batch.weighted(new.logprob), {}), of_members, entropy.bonus)
    drift = math.exp(0.3) - 1 - 0.3
    assert own(new, batch)[1]["approx_kl"].item() == pytest.approx(drift, rel=1e-5)
