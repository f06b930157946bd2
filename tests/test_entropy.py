import pytest
import torch

from grpo_cli.entropy import EntropyCoef, top_quantile


def test_the_coefficient_follows_its_target():
    coef = EntropyCoef(0.01, target=0.2)
    coef.observe(0.1)  # too little entropy
    assert (coef.value, coef.effective) == (pytest.approx(0.015), pytest.approx(0.015))
    coef.observe(0.3)  # too much: it falls, and is switched off
    assert (coef.value, coef.effective) == (pytest.approx(0.01), 0.0)
    for _ in range(5):
        coef.observe(0.3)
    assert coef.value == 0.0
    for _ in range(300):
        coef.observe(0.0)
    assert coef.effective == 1.0
    off = EntropyCoef(0.3)
    off.observe(0.0)
    assert off.effective == 0.3


def test_its_state_can_be_saved():
    coef = EntropyCoef(0.01, target=0.2)
    coef.observe(0.3)
    other = EntropyCoef(0.01, target=0.2)
    other.load(coef.state())
    assert other == coef


def test_the_top_quantile_is_that_share_of_the_rows():
    entropy = torch.tensor([0.1, 0.9, 0.5, 0.3, 0.7])
    assert top_quantile(entropy, 0.4).tolist() == [False, True, False, False, True]
    assert top_quantile(entropy, 0.01).tolist() == [False, True, False, False, False]
    assert top_quantile(entropy, 1.0).all()
    assert top_quantile(torch.ones(5), 0.2).all()  # ties are not broken by chance
