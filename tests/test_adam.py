import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from grpo_cli.adam import Adam, clip_grad_norm


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2))


def test_it_is_torchs_adam_bit_for_bit():
    ours, theirs = model(), model()
    one = Adam(ours.parameters(), lr=3e-3, eps=1e-5)
    two = torch.optim.Adam(theirs.parameters(), lr=3e-3, eps=1e-5, fused=True)
    noise = torch.Generator().manual_seed(1)
    for step in range(30):
        if step == 10:
            one.param_groups[0]["lr"] = two.param_groups[0]["lr"] = 1e-3
        x = torch.randn(16, 5, generator=noise)
        for net, optimizer in ((ours, one), (theirs, two)):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
    expected = two.state_dict()["state"]
    for number, entry in one.state_dict()["state"].items():
        for name, value in entry.items():
            assert torch.equal(value, expected[number][name])


def test_parameters_without_a_gradient_stay():
    net = model()
    before = copy.deepcopy(net)
    optimizer = Adam(net.parameters(), lr=0.1)
    net[2](torch.ones(1, 7)).sum().backward()  # the first layer takes no part
    optimizer.step()
    assert torch.equal(net[0].weight, before[0].weight)
    assert not torch.equal(net[2].weight, before[2].weight)
    assert optimizer.state_dict()["state"][0]["step"] == 0


def test_training_does_not_import_torchs_compiler():
    code = (
        "import sys, torch\n"
        "from grpo_cli.adam import Adam\n"
        "net = torch.nn.Linear(2, 2); adam = Adam(net.parameters(), lr=0.1)\n"
        "net(torch.ones(1, 2)).sum().backward(); adam.step(); adam.zero_grad()\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("max_norm", [None, 0.5, 1e6])
def test_clips_gradients_as_torch_does(max_norm):
    torch.manual_seed(0)
    ours = [
        nn.Parameter(torch.zeros(3, 4)),
        nn.Parameter(torch.zeros(5)),
        nn.Parameter(torch.ones(2)),
    ]
    theirs = copy.deepcopy(ours)
    for mine, its in zip(ours[:2], theirs[:2], strict=True):  # the third has no gradient
        mine.grad = torch.randn_like(mine)
        its.grad = mine.grad.clone()
    expected = nn.utils.clip_grad_norm_(theirs, float("inf") if max_norm is None else max_norm)
    torch.testing.assert_close(clip_grad_norm(ours, max_norm), expected)
    for mine, its in zip(ours[:2], theirs[:2], strict=True):
        torch.testing.assert_close(mine.grad, its.grad)
