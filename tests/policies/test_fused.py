"""The fused layers are the plain ones: same outputs, same gradients."""

import copy
from itertools import pairwise

import pytest
import torch
from builders import cartpole, make_cartpole_policy
from torch import nn

from grpo_cli.policies.activations import Tanh
from grpo_cli.policies.fused import NARROW, layers, perceptron


def network(*widths):
    torch.manual_seed(0)
    inner = pairwise(widths[:-1])
    body = nn.Sequential(*(part for a, b in inner for part in (nn.Linear(a, b), Tanh())))
    return body, nn.Linear(widths[-2], widths[-1])


def gradients(outputs, modules, upstream):
    parameters = [p for module in modules for p in module.parameters()]
    return torch.autograd.grad((outputs * upstream).sum(), parameters)


@pytest.mark.parametrize("widths", [(4, 64, 64, 2), (NARROW, 8, 1), (NARROW + 3, 5, 6, 7, 3)])
def test_equals_the_layers_one_by_one(widths):
    body, head = network(*widths)
    x, upstream = torch.randn(50, widths[0]), torch.randn(50, widths[-1])
    fused, hidden = perceptron(x, layers(body, head)), x
    for layer in body:
        hidden = torch.tanh(hidden) if isinstance(layer, Tanh) else layer(hidden)
    plain = head(hidden)
    torch.testing.assert_close(fused, plain, rtol=1e-5, atol=1e-5)
    ours = gradients(fused, (body, head), upstream)
    theirs = gradients(plain, (body, head), upstream)
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-4)


def test_other_activations_are_left_alone():
    assert layers(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Linear(8, 2)) == ()


def test_a_copy_has_layers_of_its_own():
    policy = make_cartpole_policy(cartpole())
    twin = copy.deepcopy(policy)
    obs = torch.randn(5, 4)
    before = policy(obs)
    with torch.no_grad():
        twin.head.bias += 1
    assert torch.equal(policy(obs), before)
    torch.testing.assert_close(twin(obs), before + 1)
