"""Policies over spaces: acting equals learning, and a masked action is never taken."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from any_space import observations, sampled
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_cli.envs import Sync, open_env
from grpo_cli.envs.spaces import action_codec
from grpo_cli.errors import ConfigError, EnvError
from grpo_cli.observations import Observations
from grpo_cli.policies import auto, chosen, cnn, make_policy, mlp, multi_input, recurrent
from grpo_cli.policies.flat import Flat
from grpo_cli.randomness import Purpose, rng
from grpo_cli.rollout import Batch, tensors

CPU = torch.device("cpu")
IMAGE = spaces.Box(0, 255, (12, 10, 3), np.uint8)
LOOKS = {
    "vector": spaces.Box(-1, 1, (3,)),
    "choice": spaces.Discrete(4, start=1),
    "choices": spaces.MultiDiscrete([2, 3]),
    "bits": spaces.MultiBinary(3),
    "image": IMAGE,
    "table": spaces.Box(-1, 1, (2, 3)),
    "entries": spaces.Dict(a=spaces.Discrete(2), b=spaces.Tuple([spaces.Box(-1, 1, (2,))])),
    "mixed": spaces.Dict(
        eye=IMAGE, rest=spaces.Tuple([spaces.Discrete(3), spaces.Box(0, 1, (2,))])
    ),
}
MOVES = {
    "choice": spaces.Discrete(3, start=-1),
    "numbers": spaces.Box(-1, 1, (2,)),
    "choices": spaces.MultiDiscrete([2, 3]),
    "bits": spaces.MultiBinary(2),
    "joint": spaces.Dict(a=spaces.Box(-1, 1, (2,)), b=spaces.Tuple([spaces.Discrete(3)])),
}
BODIES = {
    "auto": auto,
    "mlp": mlp,
    "gru": partial(recurrent, cell="gru", size=5),
    "lstm": partial(recurrent, cell="lstm", size=5),
}


def policy_for(look, move, make=auto, std="parameter", **settings):
    family = action_codec("Env-v0", move, std=std).family
    return make_policy(make, look, family, rng(0, Purpose.INIT), CPU, **settings)


def perturb(policy):
    """Move the weights away from the start, where the head says nearly nothing."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in policy.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("look", LOOKS)
def test_what_acted_is_what_learns(look, move, body):
    """Two members, of 3 and 2 steps: step by step and as a batch, log-probabilities are equal."""
    policy = policy_for(LOOKS[look], MOVES[move], BODIES[body], normalise=look != "image")
    perturb(policy)
    rows = Observations(LOOKS[look]).stack(sampled(LOOKS[look], 5))
    policy.observe(tensors(rows))
    noise = np.random.default_rng(0).random((5, policy.family.noise_width))
    act = policy.acting()
    taken, said = {}, {}
    for members in ([0, 1], [0, 1], [0]):
        here = [3 * m + sum(k // 3 == m for k in taken) for m in members]
        action, logprob = act(rows[here], noise[here], np.array(members))
        taken |= dict(zip(here, action, strict=True))
        said |= dict(zip(here, logprob, strict=True))
    action = torch.from_numpy(np.stack([taken[row] for row in range(5)]))
    member = torch.tensor([0, 0, 0, 1, 1])
    ones = torch.ones(5)
    new = policy.outlook(Batch(tensors(rows), action, ones, ones, ones, None, member, 2, (3, 2)))
    expected = np.array([said[row] for row in range(5)])
    assert new.logprob.detach().numpy() == pytest.approx(expected, abs=2e-4)
    assert new.entropy().shape == (5,)
    new.logprob.sum().backward()
    dumb = [name for name, weight in policy.named_parameters() if weight.grad is None]
    assert not dumb


@given(observations, st.booleans())
@settings(max_examples=60)
def test_rows_of_numbers_are_the_same_in_torch_and_numpy(space, normalise):
    policy = policy_for(space, spaces.Discrete(3), partial(mlp, hidden=[4]), normalise=normalise)
    perturb(policy)
    rows = Observations(space).stack(sampled(space, 4))
    policy.observe(tensors(rows))
    with torch.no_grad():
        expected = policy(tensors(rows)).numpy()
    assert policy.params(rows) == pytest.approx(expected, abs=1e-4)
    assert policy._numpy is not None


@given(observations)
def test_the_encoder_loses_nothing(space):
    """Different observations have different rows; bytes and float64 within float32's precision."""
    seen = sampled(space, 6)
    rows = Observations(space).stack(seen)
    numbers = Flat(space)(tensors(rows))
    assert numbers.shape == (6, Flat(space).width)
    distinct = len({row.tobytes() for row in rows})
    assert len({row.numpy().tobytes() for row in numbers}) == distinct


def test_a_choice_becomes_one_of_n():
    space = spaces.Dict(a=spaces.Discrete(3, start=5), b=spaces.MultiDiscrete([2, 3]))
    rows = Observations(space).stack([{"a": 6, "b": [1, 2]}])
    assert Flat(space)(tensors(rows)).tolist() == [[0, 1, 0, 0, 1, 0, 0, 1]]


@pytest.mark.parametrize(
    ("look", "name"),
    [("vector", "mlp"), ("table", "mlp"), ("image", "cnn"), ("mixed", "multi_input"),
     ("entries", "mlp"), ("bits", "mlp")],
)  # fmt: skip
def test_auto_chooses_by_the_observations(look, name):
    assert chosen(LOOKS[look])[0] == name


@pytest.mark.parametrize("make", [cnn, multi_input])
def test_what_a_body_cannot_read_is_refused(make):
    with pytest.raises(ConfigError, match="policy="):
        policy_for(LOOKS["vector"], MOVES["choice"], make)


@pytest.mark.parametrize(
    ("shape", "architecture"),
    [((84, 84, 4), "nature"), ((4, 84, 84), "nature"), ((4, 84, 84, 3), "impala"),
     ((40, 40), "auto"), ((10, 10), "auto"), ((3, 9, 16), "impala"), ((7, 7, 3), "small")],
)  # fmt: skip
def test_the_order_of_an_images_dimensions_does_not_matter(shape, architecture):
    space = spaces.Box(0, 255, shape, np.uint8)
    policy = policy_for(space, MOVES["choice"], partial(cnn, architecture=architecture, hidden=[8]))
    rows = Observations(space).stack(sampled(space, 2))
    assert policy.params(rows).shape == (2, 3)


def test_channels_last_and_first_are_one_image():
    last = spaces.Box(0, 255, (12, 12, 3), np.uint8)
    first = spaces.Box(0, 255, (3, 12, 12), np.uint8)
    rows = Observations(last).stack(sampled(last, 2))
    one, two = (policy_for(space, MOVES["choice"]) for space in (last, first))
    assert one.params(rows) == pytest.approx(two.params(rows.transpose(0, 3, 1, 2)), abs=1e-6)


def test_log_stds_of_the_state_start_where_they_are_told():
    move = spaces.Tuple([spaces.Discrete(3), spaces.Box(-1, 1, (2,))])
    policy = policy_for(LOOKS["vector"], move, mlp, std="state", log_std=-1.5, head_gain=0.0)
    assert policy.free is None
    rows = Observations(LOOKS["vector"]).stack(sampled(LOOKS["vector"], 2))
    # 3 logits, 2 means, 2 log-stds
    assert policy.params(rows).tolist() == [[0, 0, 0, 0, 0, -1.5, -1.5]] * 2


def test_initial_weights_follow_from_the_seed_alone_however_they_are_made():
    torch.manual_seed(1)
    one = policy_for(LOOKS["mixed"], MOVES["choice"], init="torch")
    before = torch.random.get_rng_state()
    two = policy_for(LOOKS["mixed"], MOVES["choice"], init="torch")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@given(
    st.lists(st.booleans(), min_size=5, max_size=5).filter(lambda m: any(m[:2]) and any(m[2:])),
    st.integers(0, 1000),
    st.sampled_from([mlp, partial(recurrent, size=3)]),
)
def test_a_masked_action_is_never_taken(mask, seed, make):
    look = spaces.Dict(observation=spaces.Box(-1, 1, (2,)), action_mask=spaces.MultiBinary(5))
    policy = policy_for(look, spaces.MultiDiscrete([2, 3]), make)
    perturb(policy)
    one = {"observation": np.zeros(2, np.float32), "action_mask": np.array(mask, np.int8)}
    rows = Observations(look).stack([one] * 64)
    noise = np.random.default_rng(seed).random((64, 2))
    noise[0], noise[1] = 0.0, 1 - 2**-53  # the ends of what a generator draws
    act, members = policy.acting(), np.arange(64)
    for action in (act(rows, noise, members)[0], act(rows, None, members)[0]):
        assert all(mask[a] and mask[2 + b] for a, b in action.tolist())
    params = policy(tensors(rows), [1] * 64)
    assert torch.isfinite(policy.family.entropy(params)).all()
    assert torch.allclose(policy.family.kl(params, params), torch.zeros(64))
    policy.family.entropy(params).sum().backward()
    assert all(torch.isfinite(w.grad).all() for w in policy.parameters() if w.grad is not None)


class Doors(gym.Env):
    """Says in `info` which of 3 doors are open."""

    def __init__(self, locked=False):
        self.observation_space, self.action_space = spaces.Discrete(4), spaces.Discrete(3)
        self.locked = locked

    def _info(self):
        mask = np.zeros(3, np.int8)
        mask[self.at % 3] = not self.locked
        return {"action_mask": mask}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return 0, self._info()

    def step(self, action):
        assert action == self.at % 3
        self.at += 1
        return self.at, 1.0, self.at == 3, False, self._info()


def test_a_mask_in_info_is_obeyed():
    source = open_env("Doors", max_steps=5, own_class=Doors)
    policy = make_policy(
        auto, source.observation_space, source.codec.family, rng(0, Purpose.INIT), CPU
    )
    backend = Sync(source.make, 4)
    obs, ids = backend.reset(np.arange(4)), np.arange(4)
    assert obs["observation"].tolist() == [0, 0, 0, 0]
    for step in range(3):
        action, _ = policy.act(obs, np.random.default_rng(step).random((4, 1)))
        obs, _, terminated, _, _ = backend.step(ids, source.codec.decode(action))
    assert terminated.all()


def test_a_state_without_an_allowed_action_is_the_environments_fault():
    source = open_env("Doors", {"locked": True}, max_steps=5, own_class=Doors)
    policy = make_policy(
        auto, source.observation_space, source.codec.family, rng(0, Purpose.INIT), CPU
    )
    obs = Sync(source.make, 2).reset(np.arange(2))
    with pytest.raises(EnvError, match="allows no action"):
        policy.act(obs, None)
