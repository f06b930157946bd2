import copy
from functools import partial

import numpy as np
import pytest
import torch
from builders import cartpole, make_cartpole_policy
from gymnasium import spaces
from threads import in_threads
from torch import nn

from grpo_cli.distributions import Gaussian
from grpo_cli.envs import open_env
from grpo_cli.envs.spaces import action_codec
from grpo_cli.errors import ConfigError
from grpo_cli.policies import Policy, make_policy, mlp
from grpo_cli.policies.activations import Tanh
from grpo_cli.policies.mlp import NumpyMlp
from grpo_cli.policies.normaliser import Normaliser
from grpo_cli.randomness import Purpose, rng
from grpo_cli.ranks import ALONE


def observations(count=100):
    return np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)


@pytest.mark.parametrize("hidden", [(64, 64), (5,), (300, 7, 31)])
def test_the_numpy_path_equals_torch(hidden):
    policy = make_cartpole_policy(cartpole(), hidden=hidden)
    nn.init.normal_(policy.head.weight)
    obs = observations()
    with torch.no_grad():
        expected = policy(torch.from_numpy(obs)).numpy()
    assert policy.params(obs) == pytest.approx(expected, abs=1e-5)
    assert policy._numpy is not None


def test_the_numpy_path_sees_an_optimizer_step_and_a_load():
    policy = make_cartpole_policy(cartpole())
    obs = observations()
    before = policy.params(obs).copy()
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.1, fused=True)
    policy(torch.from_numpy(obs)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        expected = policy(torch.from_numpy(obs)).numpy()
    assert policy.params(obs) == pytest.approx(expected, abs=1e-5)
    assert not np.allclose(policy.params(obs), before)
    policy.load_state_dict(make_cartpole_policy(cartpole()).state_dict())
    assert policy.params(obs) == pytest.approx(before, abs=1e-6)


def test_other_bodies_act_through_torch():
    policy = make_policy(
        partial(mlp, hidden=[8], activation="silu"),
        spaces.Box(-1, 1, (4,)),
        cartpole().codec.family,
        rng(0, Purpose.INIT),
        torch.device("cpu"),
    )
    params = policy.params(observations(3))
    assert policy._numpy is None
    with torch.no_grad():
        assert params == pytest.approx(policy(torch.from_numpy(observations(3))).numpy())


def test_fast_tanh_is_tanh_with_its_gradient():
    x = torch.linspace(-4, 4, 101, requires_grad=True)
    y = torch.linspace(-4, 4, 101, requires_grad=True)
    Tanh()(x).square().sum().backward()
    torch.tanh(y).square().sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert torch.allclose(x.grad, y.grad, atol=1e-6)


def test_initial_weights_follow_from_the_seed_alone():
    one, two, other = (make_cartpole_policy(cartpole(), seed) for seed in (0, 0, 1))
    torch.manual_seed(123)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not torch.equal(one.head.weight, other.head.weight)


def test_initialisation_is_orthogonal_and_nearly_uniform():
    policy = make_cartpole_policy(cartpole(), hidden=(64, 64))
    second = policy.body[2].weight  # type: ignore[index]
    assert torch.allclose(second @ second.T, 2 * torch.eye(64), atol=1e-5)
    params = policy.params(observations())
    assert np.abs(params).max() < 0.1


def test_greedy_takes_the_mode_and_sampling_follows_the_noise():
    policy = make_cartpole_policy(cartpole())
    nn.init.normal_(policy.head.weight)
    obs = observations(50)
    greedy, _ = policy.act(obs, None)
    assert greedy[:, 0].tolist() == policy.params(obs).argmax(1).tolist()
    noise = np.random.default_rng(1).random((50, 1))
    one, two = policy.act(obs, noise), policy.act(obs, noise)
    assert np.array_equal(one[0], two[0])


def test_impossible_networks_are_refused():
    space = spaces.Box(-1, 1, (4,))
    with pytest.raises(ConfigError, match="no network"):
        mlp(space, hidden=[])
    with pytest.raises(ConfigError, match="activation"):
        mlp(space, activation="tan")
    with pytest.raises(ConfigError, match="shape"):
        make_policy(
            lambda _: nn.Unflatten(1, (2, 2)),
            space,
            cartpole().codec.family,
            rng(0, Purpose.INIT),
            torch.device("cpu"),
        )


def test_numpy_twin_declines_what_it_cannot_follow():
    policy = make_cartpole_policy(cartpole())
    assert NumpyMlp.fits(policy.body, policy.head)
    assert not NumpyMlp.fits(nn.Linear(4, 4), policy.head)
    assert isinstance(policy, Policy)


def test_a_copy_acts_with_its_own_weights():
    policy = make_cartpole_policy(cartpole())
    obs = observations(5)
    before = policy.params(obs).copy()
    twin = copy.deepcopy(policy)
    with torch.no_grad():
        policy.head.weight += 1.0
    assert twin.params(obs) == pytest.approx(before, abs=1e-6)
    assert policy.params(obs) != pytest.approx(before, abs=1e-2)


def continuous_policy(normalise=False, bounds="clip"):
    source = open_env("Pendulum-v1")
    codec = action_codec("Pendulum-v1", source.action_space, bounds)
    return make_policy(
        mlp,
        source.observation_space,
        codec.family,
        rng(0, Purpose.INIT),
        torch.device("cpu"),
        log_std=-0.5,
        normalise=normalise,
    )


@pytest.mark.parametrize("normalise", [False, True])
def test_a_continuous_policy_acts_alike_in_numpy_and_torch(normalise):
    policy = continuous_policy(normalise)
    obs = np.random.default_rng(0).normal(3.0, 2.0, size=(40, 3)).astype(np.float32)
    policy.observe(torch.from_numpy(obs[:20]))
    with torch.no_grad():
        expected = policy(torch.from_numpy(obs)).numpy()
    assert policy.params(obs) == pytest.approx(expected, abs=1e-5)
    assert expected[:, 1] == pytest.approx(-0.5)
    action, logprob = policy.act(obs, np.random.default_rng(1).random((40, 1)))
    again = policy.family.logprob(torch.from_numpy(expected), torch.from_numpy(action))
    assert logprob == pytest.approx(again.numpy(), abs=1e-4)


def test_the_normaliser_holds_the_moments_of_all_it_observed():
    normaliser = Normaliser((3,))
    data = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)) * 5 + 1e4
    for part in data.split(300):
        normaliser.observe(part)
    assert torch.allclose(normaliser.mean, data.mean(0))
    assert torch.allclose(normaliser.std, data.std(0, unbiased=False), rtol=1e-4)
    seen = normaliser(data)
    assert torch.allclose(seen.mean(0), torch.zeros(3), atol=1e-2)
    assert torch.allclose(seen.std(0), torch.ones(3), atol=1e-2)


def test_acting_and_scoring_leave_the_normaliser_alone():
    policy = continuous_policy(normalise=True)
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    policy.act(np.full((4, 3), 9.0, dtype=np.float32), np.full((4, 1), 0.5))
    policy(torch.full((4, 3), 9.0))
    assert all(torch.equal(before[name], value) for name, value in policy.state_dict().items())
    assert "normaliser.mean" in before


def test_a_whole_number_is_a_log_std_too():
    policy = Policy(mlp(spaces.Box(-1, 1, (3,))), 64, Gaussian(2), log_std=0)  # policy.log_std=0
    assert policy.free is not None
    assert policy.free.dtype == torch.float32


def test_ranks_with_fewer_pieces_of_observations_do_no_harm(monkeypatch):
    monkeypatch.setattr("grpo_cli.rollout.ROOM", 8)  # two rows of four numbers a piece
    obs = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    source = cartpole()

    def moments(rows, ranks=ALONE):
        policy = make_policy(
            mlp, source.observation_space, source.codec.family, np.random.default_rng(0),
            torch.device("cpu"), normalise=True,
        )  # fmt: skip
        policy.observe(rows, ranks)
        return torch.stack([policy.normaliser.mean, policy.normaliser.std])

    alone = moments(obs)
    for found in in_threads(2, lambda world: moments([obs[:6], obs[6:]][world.rank], world)):
        torch.testing.assert_close(found, alone)
