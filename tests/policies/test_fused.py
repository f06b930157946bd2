"""The fused layers are the plain ones: same outputs, same gradients."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from grpo_cli.policies.activations import Tanh
from grpo_cli.policies.fused import NARROW, fits, perceptron


def layers(*widths):
    torch.manual_seed(0)
    inner = pairwise(widths[:-1])
    body = nn.Sequential(*(part for a, b in inner for part in (nn.Linear(a, b), Tanh())))
    return body, nn.Linear(widths[-2], widths[-1])


def gradients(outputs, modules, upstream):
    parameters = [p for module in modules for p in module.parameters()]
    return torch.autograd.grad((outputs * upstream).sum(), parameters)


@pytest.mark.parametrize("widths", [(4, 64, 64, 2), (NARROW, 8, 1), (NARROW + 3, 5, 6, 7, 3)])
def test_equals_the_layers_one_by_one(widths):
    body, head = layers(*widths)
    x, upstream = torch.randn(50, widths[0]), torch.randn(50, widths[-1])
    fused, hidden = perceptron(x, body, head), x
    for layer in body:
        hidden = torch.tanh(hidden) if isinstance(layer, Tanh) else layer(hidden)
    plain = head(hidden)
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5)
    ours = gradients(fused, (body, head), upstream)
    theirs = gradients(plain, (body, head), upstream)
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-4)


def test_leaves_other_layers_and_inputs_with_gradient_alone():
    body, _ = layers(4, 8, 2)
    assert fits(body, torch.zeros(1, 4))
    assert not fits(body, torch.zeros(1, 4, requires_grad=True))
    assert not fits(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), torch.zeros(1, 4))
