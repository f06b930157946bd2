"""Nearest names."""

import pytest

from grpo_cli.config.suggest import did_you_mean, listed, nearest

KEYS = ["lr", "loss", "loss.name", "loss.eps_low", "loss.eps_high", "advantage.eps", "group_size"]


@pytest.mark.parametrize(
    ("word", "first"),
    [
        ("lrr", "lr"),
        ("los", "loss"),
        ("group_sise", "group_size"),
        ("GROUP_SIZE", "group_size"),
        ("eps_low", "loss.eps_low"),
        ("loss.eps_lo", "loss.eps_low"),
        ("los.eps_low", "loss.eps_low"),
        ("optim.lr", "lr"),
        ("loss.eps", "loss.eps_high"),
        ("eps", "advantage.eps"),
    ],
)
def test_the_first_guess(word: str, first: str):
    assert nearest(word, KEYS)[0] == first


def test_nothing_near():
    assert nearest("zork", KEYS) == []
    assert did_you_mean("zork", KEYS) == ""
    assert nearest("x", []) == []


def test_a_beginning_counts():
    assert nearest("Acrobot", ["CartPole-v1", "Acrobot-v1"]) == ["Acrobot-v1"]


def test_listed():
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"], "or") == "a, b or c"
