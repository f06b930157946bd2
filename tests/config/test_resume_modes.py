"""Every group mode, and every policy that keeps something, goes on exactly."""

import pytest
from resumed import assert_equal, begin, cut_off, go_on, metrics
from small_runs import own_place


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    yield from own_place(tmp_path, monkeypatch)


def assert_goes_on(env, *words):
    straight = begin("name=straight", *words, env=env)
    run = cut_off(*words, env=env)
    assert len(metrics(run)) > 0
    go_on(run)
    assert_equal(straight, run)


def slow(words):
    return pytest.param(words, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "words",
    [
        "group=windows group.tail=mask advantage=scalar",
        "group=states env.max_steps=1 advantage=outcome",
        "group=candidates group.horizon=3 advantage=outcome",
        "group=branches group.horizon=3",
        "advantage=remax",
        "backend=envpool",
        slow("backend=envpool env=Pendulum-v1"),
        "policy=recurrent policy.size=4 policy.cell=gru",
        slow("policy=recurrent policy.size=4 policy.normalise=true"),
        slow("policy=recurrent policy.size=4 group=windows group_size=9"),
        slow("policy=recurrent policy.size=4 advantage=remax"),
    ],
)
def test_every_group_mode_goes_on(words):
    if "backend=envpool" in words:
        pytest.importorskip("envpool")
    assert_goes_on("env=CartPole-v1", *words.split())


@pytest.mark.parametrize("normalise", ["false", "true"])
def test_a_policy_that_sees_images_goes_on(normalise):
    words = ["policy=cnn", f"policy.normalise={normalise}", "total_steps=200", "save_every=60"]
    assert_goes_on("env=grpo/Catch-v0", *words)
