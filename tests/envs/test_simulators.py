"""Going back to a state: which way is right for which environment, and that lies are found out."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import FlattenObservation, FrameStackObservation
from steps import Count, Hidden, Liar, Wild, source

from grpo_cli.envs import make_simulator, open_env
from grpo_cli.envs.native import NativeCartPole
from grpo_cli.envs.simulators import prove
from grpo_cli.envs.snapshots import Attributes, Copies, FreshReplay, Replay, Unsaved
from grpo_cli.errors import ConfigError, EnvError

FAMILIES = {
    "CartPole-v1": "native",
    "Pendulum-v1": "attributes",
    "Acrobot-v1": "attributes",
    "MountainCar-v0": "attributes",
    "MountainCarContinuous-v0": "attributes",
    "FrozenLake-v1": "attributes",
    "CliffWalking-v1": "attributes",
    "LunarLander-v3": "replay",
    "LunarLanderContinuous-v3": "replay",
    "BipedalWalker-v3": "replay in new environments",
    "HalfCheetah-v5": "attributes",
    "Ant-v5": "attributes",
}
TOY = ("FrozenLake-v1", "CliffWalking-v1")


def opened(env_id, **changes):
    if env_id.endswith("-v5"):
        pytest.importorskip("mujoco")
    made = None
    if env_id in TOY:  # their observations are numbers, which no policy reads yet
        made = lambda **kwargs: FlattenObservation(gym.make(env_id, **kwargs))  # noqa: E731
    return open_env(env_id, own_class=made, **changes)


def played(simulator, ids, actions):
    """What the named members are told until one of them ends."""
    told = []
    for action in actions:
        obs, reward, terminated, truncated, _ = simulator.step(ids, action)
        told.append((obs.tolist(), reward.tolist(), terminated.tolist(), truncated.tolist()))
        if (terminated | truncated).any():
            break
    return told


def drawn(space, count, seed=0):
    space.seed(seed)
    return [np.array([space.sample()]) for _ in range(count)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("env_id", "method"), FAMILIES.items())
def test_what_followed_follows_again(env_id, method):
    opens = opened(env_id)
    simulator, why = make_simulator(opens, 3)
    assert simulator.name == method
    assert why
    actions = drawn(opens.action_space, 25)
    simulator.reset(np.array([1, 2, 3]))
    one = np.array([1])
    simulator.step(np.arange(3), np.concatenate(actions[:3]))
    played(simulator, one, actions[3:6])
    saved = simulator.save(one)
    told = played(simulator, one, actions[6:])
    for place in (1, 0, 2):  # its own place, and those of members who went another way
        simulator.restore(np.array([place]), saved)
        assert played(simulator, np.array([place]), actions[6:]) == told
    simulator.close()


@pytest.mark.parametrize("env_id", ["CartPole-v1", "LunarLander-v3"])
def test_it_is_what_a_plain_environment_does(env_id):
    opens = opened(env_id)
    simulator, _ = make_simulator(opens, 2)
    actions = drawn(opens.action_space, 8, seed=4)
    simulator.reset(np.array([7, 8]))
    first = played(simulator, np.array([0]), actions[:4])
    simulator.restore(np.array([1]), simulator.save(np.array([0])))
    told = first + played(simulator, np.array([1]), actions[4:])
    plain = opens.make()
    plain.reset(seed=7)
    for action, (obs, reward, terminated, truncated) in zip(actions, told, strict=True):
        expected = plain.step(action[0])
        assert obs[0] == expected[0].tolist()
        assert (reward[0], terminated[0], truncated[0]) == expected[1:4]


def test_the_native_states_are_those_of_plain_environments():
    opens = opened("CartPole-v1", max_steps=9)
    ids = np.arange(3)
    actions = [np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([1, 0, 0])] * 3
    traces = []
    for make in (NativeCartPole(opens.make, 3, 9), Attributes(opens.make, 3)):
        make.reset(np.array([5, 6, 7]))
        played(make, ids, actions[:3])
        make.restore(ids, make.save(ids)[[2, 0, 1]])
        traces.append(played(make, ids, actions[3:]))
    assert traces[0] == traces[1]
    assert traces[0][-1][3] == [True] * 3  # the time limit counts the steps before the restore


@pytest.mark.parametrize("method", [Attributes, Copies, Replay, FreshReplay])
def test_counters_and_frames_of_wrappers_come_back(method):
    def made(**kwargs):
        return FrameStackObservation(gym.make("Pendulum-v1", **kwargs), 3)

    opens = open_env("Stacked", own_class=made, max_steps=12)
    simulator = method(opens.make, 2)
    actions = drawn(opens.action_space, 12)
    ids = np.array([0])
    simulator.reset(np.array([3, 4]))
    played(simulator, ids, actions[:10])
    saved = simulator.save(ids)
    told = played(simulator, ids, actions[10:])
    assert told[-1][3] == [True]  # cut at the twelfth step
    simulator.restore(np.array([1]), saved)
    assert played(simulator, np.array([1]), actions[10:]) == told


@pytest.mark.parametrize("method", [Attributes, Copies, Replay, FreshReplay])
def test_chance_comes_back_in_members_that_were_never_reset(method):
    opens = opened("FrozenLake-v1", kwargs={"is_slippery": True})
    simulator = method(opens.make, 3)
    ids, last = np.array([0]), np.array([2])
    simulator.reset(np.array([3]))
    played(simulator, ids, [np.array([0])] * 2)
    saved = simulator.save(ids)
    told = played(simulator, ids, [np.array([0])] * 12)
    assert len({str(said[0]) for said in told}) > 1  # it slips
    simulator.restore(last, saved)
    assert played(simulator, last, [np.array([0])] * 12) == told


def test_what_came_into_being_later_is_gone_again():
    simulator = Attributes(source().make, 1)
    simulator.reset(np.array([0]))
    saved = simulator.save(np.array([0]))
    simulator.envs[0].unwrapped.late = 3
    simulator.restore(np.array([0]), saved)
    assert not hasattr(simulator.envs[0].unwrapped, "late")


def test_replayed_steps_are_counted_apart():
    simulator = Replay(source().make, 2)
    simulator.reset(np.array([0, 0]))
    played(simulator, np.arange(2), [np.array([1, 2])] * 4)
    saved = simulator.save(np.arange(2))
    assert simulator.replay_steps == 0
    simulator.restore(np.arange(2), saved)
    assert simulator.replay_steps == 2 * 4
    assert simulator.envs[1].unwrapped.paid == 8


def test_who_hides_state_from_one_way_is_saved_by_the_next():
    assert make_simulator(source(Count), 2)[0].name == "attributes"
    assert make_simulator(source(Hidden), 2)[0].name == "deepcopy"
    assert make_simulator(source(Liar), 2)[0].name == "replay"


def test_a_copy_that_lies_is_found_out():
    with pytest.raises(Unsaved, match="was not what had followed"):
        prove(Copies(source(Liar).make, 2), source(Liar))
    lander = opened("LunarLander-v3")
    with pytest.raises(EnvError):  # its copy was never reset, and says so
        prove(Copies(lander.make, 2), lander)


@pytest.mark.filterwarnings("ignore")
def test_two_copies_of_a_mujoco_environment_agree_with_each_other_only():
    ant = opened("Ant-v5")
    with pytest.raises(Unsaved, match="was not what had followed"):
        prove(Copies(ant.make, 2), ant)


def test_a_reset_that_depends_on_more_than_the_seed_is_found_out():
    walker = opened("BipedalWalker-v3")
    with pytest.raises(Unsaved):
        prove(Replay(walker.make, 2), walker)


def test_what_cannot_be_had_again_is_refused_with_the_reasons():
    with pytest.raises(ConfigError, match="Wild cannot go back to a state exactly") as refused:
        make_simulator(source(Wild), 2)
    assert "attributes: purse is a Purse" in refused.value.what
    assert "group=episodes" in refused.value.fix


def test_a_saved_state_is_not_touched_by_later_steps():
    simulator = Attributes(source().make, 1)
    simulator.reset(np.array([0]))
    saved = simulator.save(np.array([0]))
    before = copy.deepcopy(saved[0])
    played(simulator, np.array([0]), [np.array([2])] * 3)
    simulator.restore(np.array([0]), saved)
    played(simulator, np.array([0]), [np.array([1])])
    assert str(saved[0]) == str(before)
