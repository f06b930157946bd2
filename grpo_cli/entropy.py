"""Entropy of the policy: a bonus in the loss, its coefficient, and which rows have most of it."""

from dataclasses import dataclass

from torch import Tensor

from grpo_cli.distributions import Outlook

# What can be chosen by name.
__all__ = ["bonus"]


def bonus(new: Outlook) -> Tensor:
    """Return the exact entropy of the action distributions, nats, [B]."""
    return new.entropy()


@dataclass
class EntropyCoef:
    """The coefficient of the bonus, fixed or led towards a target.

    Towards a target it moves by `step` after every update, up while the entropy is too low, and
    counts only while the entropy is not above the target.

    Source: He et al. 2025 (Skywork-OR1, arXiv:2505.22312), adaptive entropy control.

    Attributes:
        value: the coefficient now, before it is switched off.
        target: entropy that is wanted, nats; None: the coefficient stays.
        step: how far it moves.
        low: it does not fall below.
        high: nor rise above.
        wanted: the entropy was last seen at the target or below.
    """

    value: float
    target: float | None = None
    step: float = 0.005
    low: float = 0.0
    high: float = 1.0
    wanted: bool = True

    @property
    def effective(self) -> float:
        """The coefficient that the next update uses."""
        return self.value if self.wanted else 0.0

    def observe(self, entropy: float) -> None:
        """Take the entropy measured in an update, nats."""
        if self.target is not None:
            move = self.step if entropy < self.target else -self.step
            self.value = min(max(self.value + move, self.low), self.high)
            self.wanted = entropy <= self.target

    def state(self) -> dict[str, float]:
        """Return what a later `load` needs."""
        return {"value": self.value, "wanted": float(self.wanted)}

    def load(self, state: dict[str, float]) -> None:
        """Go on where a saved coefficient stood."""
        self.value, self.wanted = float(state["value"]), bool(state["wanted"])


def top_quantile(entropy: Tensor, share: float) -> Tensor:
    """Mark the rows with the most entropy, [N] -> bool [N]; ties with the last are marked too.

    Source: Wang et al. 2025 (arXiv:2506.01939), section 5, where share is .2.

    Args:
        entropy: of the policy that acted, nats.
        share: of the rows, in (0, 1].
    """
    kept = max(1, round(share * len(entropy)))
    return entropy >= entropy.topk(kept).values[-1]
