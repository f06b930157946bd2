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


@pytest.mark.parametrize("small", [True, False])
def test_it_is_torchs_adam(small, monkeypatch):
    if not small:
        monkeypatch.setattr("grpo_cli.adam.SMALL", 0)
    ours, theirs = model(), model()
    one = Adam(ours.parameters(), lr=3e-3, eps=1e-5)
    two = torch.optim.Adam(theirs.parameters(), lr=3e-3, eps=1e-5, fused=True)
    noise = torch.Generator().manual_seed(1)
    for step in range(30):
        if step == 10:
            one.param_groups[0]["lr"] = two.param_groups[0]["lr"] = 1e-3
        x = torch.randn(16, 5, generator=noise)
        for net, optimizer in ((ours, one), (theirs, two)):
            for parameter in net.parameters():
                parameter.grad = None
            net(x).square().sum().backward()
            optimizer.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    expected = two.state_dict()["state"]
    for number, entry in one.state_dict()["state"].items():
        for name, value in entry.items():
            torch.testing.assert_close(value, expected[number][name], rtol=1e-5, atol=1e-6)


def test_parameters_that_never_had_a_gradient_stay():
    net = model()
    before = copy.deepcopy(net)
    optimizer = Adam(net.parameters(), lr=0.1)
    net[2](torch.ones(1, 7)).sum().backward()  # the first layer takes no part
    optimizer.step()
    assert torch.equal(net[0].weight, before[0].weight)
    assert not torch.equal(net[2].weight, before[2].weight)


def test_frozen_parameters_are_left_alone():
    net = model()
    net[0].weight.requires_grad_(False)
    place, before = net[0].weight.data_ptr(), net[0].weight.clone()
    optimizer = Adam(net.parameters(), lr=0.1)
    net(torch.ones(1, 5)).sum().backward()
    optimizer.step()
    assert net[0].weight.data_ptr() == place
    assert torch.equal(net[0].weight, before)


def test_a_copy_of_the_network_is_not_moved():
    net = model()
    optimizer = Adam(net.parameters(), lr=0.1)
    twin, before = copy.deepcopy(net), copy.deepcopy(net.state_dict())
    net(torch.ones(1, 5)).sum().backward()
    optimizer.step()
    for name, value in twin.state_dict().items():
        assert torch.equal(value, before[name])
    assert not torch.equal(net[2].bias, twin[2].bias)


def test_training_does_not_import_torchs_compiler():
    code = (
        "import sys, torch\n"
        "from grpo_cli.adam import Adam\n"
        "net = torch.nn.Linear(2, 2); adam = Adam(net.parameters(), lr=0.1)\n"
        "net(torch.ones(1, 2)).sum().backward(); adam.step()\n"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("max_norm", [None, 0.5, 1e6])
@pytest.mark.parametrize("shapes", [[(12,)], [(3, 4), (5,)], [(3, 4)]])
def test_clips_gradients_as_torch_does(max_norm, shapes):
    torch.manual_seed(0)
    theirs = [nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for its in theirs:
        its.grad = torch.randn_like(its)
    ours = [its.grad.clone() for its in theirs]
    expected = nn.utils.clip_grad_norm_(theirs, float("inf") if max_norm is None else max_norm)
    assert float(clip_grad_norm(ours, max_norm)) == pytest.approx(expected.item())
    for mine, its in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, its.grad)
