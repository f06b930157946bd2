"""Every rule: a run that deserves the advice, and one that does not."""

from dataclasses import replace

import pytest

from grpo_cli.sinks.advice import RULES, WARM_UP, advise
from grpo_cli.sinks.history import Facts, History

FACTS = Facts("CartPole-v1", "runs/x", 1_000, 475.0, 0, 8, 4, "native", epochs=4)
HEALTHY = {
    "rollout/ep_rew_mean": 100.0,
    "group/frac_reward_zero_std": 0.1,
    "baseline/no_peer_frac": 0.0,
    "train/epochs": 4.0,
    "train/clip_ratio/region_mean": 0.1,
    "train/entropy": 0.6,
    "train/approx_kl": 0.01,
}
NEEDED = {"short look-ahead": {"horizon": 20}, "never apart": {"noise_steps": 1}}
CASES = {
    "short look-ahead": (
        {"group/frac_reward_zero_std": 0.97},
        "97 % of groups have no spread: raise group.horizon, now 20",
    ),
    "never apart": (
        {"group/frac_reward_zero_std": 0.9},
        "90 % of groups have no spread: hold noise for longer, group.noise_steps=4",
    ),
    "dead groups": (
        {"group/frac_reward_zero_std": 0.63},
        "63 % of groups have no spread: raise group_size or entropy.coef",
    ),
    "no peers": (
        {"baseline/no_peer_frac": 0.4},
        "40 % of steps have no peer to be compared with: raise group_size",
    ),
    "KL stop": (
        {"train/epochs": 1.2},
        "the KL stop ends updates after 1.2 of 4 epochs: lower lr",
    ),
    "clipped": (
        {"train/clip_ratio/region_mean": 0.45},
        "45 % of rows are clipped: lower lr or epochs, or raise loss.eps_high",
    ),
    "entropy gone": (
        {"train/entropy": 0.01},
        "entropy is down to 0.010 early: raise entropy.coef or lower lr",
    ),
    "standing still": (
        {"train/approx_kl": 1e-8},
        "the policy hardly moves (KL 1.0e-08): raise lr",
    ),
}


def run(
    change: dict[str, float], updates: int = 50, facts: Facts = FACTS, step: int = 5
) -> History:
    """A run that began healthy and then measured `change`."""
    history = History(facts)
    history.add(0, HEALTHY)
    for _ in range(updates):
        history.add(step, HEALTHY | change)
    return history


def test_every_rule_has_a_case():
    assert [rule.name for rule in RULES] == list(CASES)


def test_a_healthy_run_gets_none():
    assert advise(run({})) is None


@pytest.mark.parametrize("name", CASES)
def test_the_sentence(name):
    change, sentence = CASES[name]
    facts = replace(FACTS, **NEEDED.get(name, {}))
    assert advise(run(change, facts=facts))[1] == sentence


def test_a_short_look_ahead_shows_in_five_updates_each_of_them_dead():
    facts, (dead, sentence) = replace(FACTS, horizon=20), CASES["short look-ahead"]
    assert advise(run(dead, updates=4, facts=facts)) is None
    history = run(dead, updates=5, facts=facts)
    assert advise(history)[1] == sentence
    history.add(5, HEALTHY | {"group/frac_reward_zero_std": 0.9})
    assert "group.horizon" not in str(advise(history))
    assert "group.horizon" not in str(advise(run(dead)))  # episodes have none


def test_groups_that_never_differ_want_held_noise():
    dead, sentence = CASES["never apart"]
    history = run(dead, facts=replace(FACTS, noise_steps=1))
    assert advise(history)[1] == sentence
    history.add(11, HEALTHY | {"group/frac_reward_zero_std": 0.6})
    assert "noise_steps" not in str(advise(history))
    assert "noise_steps" not in str(advise(run(dead)))  # windows have none


def test_the_first_updates_get_none():
    assert advise(run(CASES["dead groups"][0], updates=WARM_UP - 2)) is None


@pytest.mark.parametrize("name", ["dead groups", "entropy gone", "standing still"])
def test_at_the_goal_sameness_is_no_fault(name):
    assert advise(run(CASES[name][0] | {"rollout/ep_rew_mean": 500.0})) is None


@pytest.mark.parametrize("name", ["entropy gone", "standing still"])
def test_coming_to_rest_late_in_a_run_is_no_fault(name):
    assert advise(run(CASES[name][0], step=950)) is None


def test_a_negative_differential_entropy_is_no_fault():
    assert advise(run({"train/entropy": -2.0})) is None


def test_without_known_epochs_the_kl_stop_is_not_guessed():
    assert advise(run({"train/epochs": 1.0}, facts=replace(FACTS, epochs=None))) is None


def test_updates_in_which_nothing_differs_are_no_kl_stop():
    history = run({"train/epochs": 1.2})
    assert "KL stop" in str(advise(history))
    history.add(11, HEALTHY | {"train/epochs": 0.0})
    assert advise(history) is None


def test_an_update_of_one_step_measures_no_kl():
    one = replace(FACTS, epochs=1)
    assert advise(run({"train/approx_kl": 0.0}, facts=one)) is None
    assert advise(run({"train/approx_kl": 1e-8}, facts=one))[1] == CASES["standing still"][1]
    assert "hardly moves" in str(advise(run({"train/approx_kl": 0.0})))
