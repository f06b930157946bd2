"""One sentence when a run looks off: what is seen, and what to turn.

A rule is a condition on recent means and a sentence; the first that holds is shown. To add one,
add a row to RULES and a test.
"""

from collections.abc import Callable
from dataclasses import dataclass

from grpo_cli.sinks.format import number, percent
from grpo_cli.sinks.history import History

# The first updates of a run are unlike the rest.
WARM_UP = 10
# Groups of a look-ahead that are all dead say nothing from the first update on.
SHORT = 5


@dataclass(frozen=True)
class Rule:
    """A condition and the sentence for it; both see the recent mean of `metric`."""

    name: str
    metric: str
    when: Callable[[float, History], bool]
    say: Callable[[float, History], str]
    warm_up: int = WARM_UP


def _below_goal(history: History) -> bool:
    """Whether there is something left to learn: equal returns at the goal are no fault."""
    goal, reward = history.facts.stop_at, history.now("rollout/ep_rew_mean")
    return goal is None or reward is None or reward < goal


def _entropy_gone(entropy: float, history: History) -> bool:
    # A density's entropy may be negative and says nothing by its size; a categorical's is in
    # [0, log n].
    first = history.first.get("train/entropy", 0.0)
    early = history.progress < 0.3 and _below_goal(history)
    return early and 0 <= entropy < 0.05 * first


def _never_apart(dead: float, history: History) -> bool:
    # Whatever is tried ends the same: actions that change at every step do not get anywhere.
    least = history.least("group/frac_reward_zero_std", WARM_UP)
    return history.facts.noise_steps == 1 and least is not None and least > 0.8


def _one_step(kl: float, history: History) -> bool:
    # The only gradient step of an update begins at the policy that acted: it measures exactly 0.
    return kl == 0 and history.facts.epochs == 1


def _too_short(dead: float, history: History) -> bool:
    least = history.least("group/frac_reward_zero_std", SHORT)
    return history.facts.horizon is not None and least is not None and least > 0.95


def _kl_stops(epochs: float, history: History) -> bool:
    planned, least = history.facts.epochs, history.least("train/epochs", WARM_UP)
    if planned is None or planned == 1 or not least:  # none: no member differed, so no step at all
        return False
    return epochs < 0.5 * planned


RULES: tuple[Rule, ...] = (
    Rule(
        "short look-ahead",
        "group/frac_reward_zero_std",
        lambda x, h: _too_short(x, h) and _below_goal(h),
        lambda x, h: (
            f"{percent(x)} of groups have no spread: raise group.horizon, now {h.facts.horizon}"
        ),
        warm_up=SHORT,
    ),
    Rule(
        "never apart",
        "group/frac_reward_zero_std",
        lambda x, h: _never_apart(x, h) and _below_goal(h),
        lambda x, h: (
            f"{percent(x)} of groups have no spread: hold noise for longer, group.noise_steps=4"
        ),
    ),
    Rule(
        "dead groups",
        "group/frac_reward_zero_std",
        lambda x, h: x > 0.5 and _below_goal(h),
        lambda x, h: f"{percent(x)} of groups have no spread: raise group_size or entropy.coef",
    ),
    Rule(
        "no peers",
        "baseline/no_peer_frac",
        lambda x, h: x > 0.3,
        lambda x, h: f"{percent(x)} of steps have no peer to be compared with: raise group_size",
    ),
    Rule(
        "KL stop",
        "train/epochs",
        _kl_stops,
        lambda x, h: f"the KL stop ends updates after {x:.1f} of {h.facts.epochs} epochs: lower lr",
    ),
    Rule(
        "clipped",
        "train/clip_ratio/region_mean",
        lambda x, h: x > 0.4,
        lambda x, h: (
            f"{percent(x)} of rows are clipped: lower lr or epochs, or raise loss.eps_high"
        ),
    ),
    Rule(
        "entropy gone",
        "train/entropy",
        _entropy_gone,
        lambda x, h: f"entropy is down to {number(x)} early: raise entropy.coef or lower lr",
    ),
    Rule(
        "standing still",
        "train/approx_kl",
        # Near the end a linear schedule has brought lr, and with it every step, close to 0.
        lambda x, h: abs(x) < 1e-6 and h.progress < 0.9 and _below_goal(h) and not _one_step(x, h),
        lambda x, h: f"the policy hardly moves (KL {number(x)}): raise lr",
    ),
)


def advise(history: History) -> tuple[str, str] | None:
    """Name and sentence of the first rule that holds, or None."""
    for rule in RULES:
        value = history.now(rule.metric) if history.updates >= rule.warm_up else None
        if value is not None and rule.when(value, history):
            return rule.name, rule.say(value, history)
    return None
