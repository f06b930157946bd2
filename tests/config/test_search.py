"""Hydra's sweep grammar as search spaces, and the named ones."""

import pytest

from grpo_cli.config.compose import compose
from grpo_cli.config.files import conf_dir
from grpo_cli.config.search import named_words, space_for, space_of
from grpo_cli.errors import ConfigError
from grpo_cli.sweep.space import Choice, Interval, Space, Steps


def only(word):
    fixed, space = space_of([word])
    assert not fixed
    [dimension] = space.dimensions
    return dimension


@pytest.mark.parametrize(
    ("word", "dimension"),
    [
        ("group_size=4,8,16", Choice("group_size", ("4", "8", "16"))),
        ("preset=choice(dapo,gspo)", Choice("preset", ("dapo", "gspo"))),
        ("policy.hidden=[64],[64,64]", Choice("policy.hidden", ("[64]", "[64,64]"))),
        ("loss=./a.py:f,clip", Choice("loss", ("./a.py:f", "clip"))),
        ("profile=true,false", Choice("profile", ("True", "False"))),
        ("total=sort(3,1,2)", Choice("total", ("1", "2", "3"))),
        ("epochs=range(1,10,2)", Steps("epochs", 1, 9, 2)),  # Hydra leaves out the stop
        ("epochs=range(1,9,2)", Steps("epochs", 1, 7, 2)),
        ("epochs=range(9,1,-4)", Steps("epochs", 5, 9, 4)),
        ("gamma=range(0.1,0.4,0.1)", Steps("gamma", 0.1, 0.30000000000000004, 0.1)),
        ("gamma=interval(0,1)", Interval("gamma", 0.0, 1.0)),
        ("lr=tag(log,interval(1e-4,1e-2))", Interval("lr", 1e-4, 1e-2, log=True)),
        ("epochs=int(interval(2,8))", Interval("epochs", 2, 8, whole=True)),
        ("n=int(tag(log,interval(8,128)))", Interval("n", 8, 128, log=True, whole=True)),
        ("+loss.beta=interval(0,1)", Interval("+loss.beta", 0.0, 1.0)),
        ("env.kwargs.g=8,10", Choice("++env.kwargs.g", ("8", "10"))),
        ("samples_per_time_step=4,8", Choice("group_size", ("4", "8"))),
    ],
)
def test_what_a_word_stands_for(word, dimension):
    assert only(word) == dimension


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("a=glob(*)", "glob"),
        ("a=shuffle(1,2)", "shuffle"),
        ("a=tag(lgo,interval(1,2))", "has the tag lgo"),
        ("a=tag(log,interval(0,2))", "begins above 0"),
        ("a=interval(2,1)", "from a lower to a higher"),
        ("a=range(3,3)", "empty"),
        ("seed=0,1", "nothing to optimize"),
        ("~loss", "cannot leave out"),
    ],
)
def test_what_nothing_can_be_drawn_from(word, what):
    with pytest.raises(ConfigError, match=what):
        space_of([word])


def test_later_words_take_the_place_of_earlier_ones():
    fixed, space = space_of(["lr=1,2", "gamma=0.9", "lr=0.5", "gamma=0.9,0.99"])
    assert fixed == ["lr=0.5"]
    assert space.names == ["gamma"]


SHIPPED = sorted(path.stem for path in (conf_dir() / "sweep").glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_space_can_be_drawn_from(name):
    fixed, space = space_of(named_words(name))
    assert not fixed
    assert len(space.dimensions) > 2
    env = "Pendulum-v1" if name == "continuous" else "CartPole-v1"
    for corner in space.corners():
        compose([f"env={env}", *space.words(corner)])


def test_the_space_follows_from_the_family():
    known = {
        "CartPole-v1": "control", "Pendulum-v1": "continuous", "ALE/Pong-v5": "pixels",
        "MiniGrid-Empty-8x8-v0": "minigrid", "text/copy": "text", "./my.py:Env": "control",
    }  # fmt: skip
    assert {name: space_for(name) for name in known} == known


def test_own_spaces_come_from_own_folders(tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "mine.yaml").write_text("lr: interval(1,2)\nepochs: 1,2\n")
    assert named_words("mine", (tmp_path,)) == ["lr=interval(1,2)", "epochs=1,2"]
    with pytest.raises(ConfigError, match="no search space called mnie"):
        named_words("mnie", (tmp_path,))


def test_a_space_without_dimensions_has_one_point():
    assert Space(()).size == 1
