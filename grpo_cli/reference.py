"""The policy that a KL penalty is measured against."""

import torch
from torch import Tensor

from grpo_cli.policies import Policy


class Reference:
    """A frozen copy of a policy, which may follow the one that learns.

    Source: Gorbatovski et al. 2024 (TR-DPO, arXiv:2404.09656) for `alpha`, as in TRL.

    Args:
        policy: copied as it is now.
        sync_every: updates after which it follows; None: it stays; 1 with alpha 1 is the policy as
            it was before each update.
        alpha: how far it moves towards the policy, in (0, 1].
    """

    def __init__(
        self, policy: Policy, *, sync_every: int | None = None, alpha: float = 1.0
    ) -> None:
        self.policy = policy.frozen()
        self.sync_every = sync_every
        self.alpha = alpha

    @torch.no_grad()
    def follow(self, policy: Policy, update: int) -> None:
        """Move towards the policy where update number `update`, from 0, is one to do so after."""
        if self.sync_every is None or (update + 1) % self.sync_every:
            return
        for own, other in zip(self.policy.parameters(), policy.parameters(), strict=True):
            own.lerp_(other, self.alpha)
        # What an observation is normalised by is measured, not learned: no half of it makes sense.
        for own, other in zip(self.policy.buffers(), policy.buffers(), strict=True):
            own.copy_(other)

    def state(self) -> dict[str, Tensor]:
        """Return its tensors by name, for a later `load`."""
        return self.policy.state_dict()

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on as a saved reference."""
        self.policy.load_state_dict(state)
